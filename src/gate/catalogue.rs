//! The template catalogue: what is known of a template when a send names it.

use crate::error::Result;
use crate::gate::config::Config;
use crate::party::Business;
use crate::rules::decision::Standing;
use crate::rules::event::{Category, Notice, NoticeWhat, TemplateName};
use crate::store::codec::{NumberRecord, TemplateRecord};
use crate::store::{Records, RecordsMut};
use crate::time::Timestamp;

/// The business account of a number: as configured, else as the platform's webhooks say.
///
/// # Errors
/// `Store` or `Format` when the records cannot be read.
pub fn account(records: Records<'_>, config: &Config, business: Business) -> Result<Option<u64>> {
    Ok(match (config.policy(business).account, records.number(business)?) {
        (Some(account), _) | (None, Some(NumberRecord::Belongs(account))) => Some(account),
        (None, _) => None,
    })
}

/// What the platform said of a template of the number's account; its category from the configuration where the platform said none.
///
/// # Errors
/// `Store` or `Format` when the records cannot be read.
pub fn standing(
    records: Records<'_>,
    config: &Config,
    business: Business,
    template: &TemplateName,
) -> Result<Standing> {
    let record = match account(records, config, business)? {
        Some(account) => records.template(account, template)?,
        None => None,
    };
    let category = record.as_ref().and_then(|record| record.category).or_else(|| config.template_category(template));
    Ok(Standing { approved: record.and_then(|record| record.approved), category })
}

/// Applies what the platform says about a business account.
///
/// # Errors
/// `Store` or `Format` when the records cannot be read or written.
pub fn notice(records: &mut RecordsMut<'_>, notice: &Notice) -> Result<()> {
    match &notice.what {
        NoticeWhat::Number { business, display } => {
            let belongs = NumberRecord::Belongs(notice.account);
            if records.read().number(*business)? != Some(belongs) {
                records.put_number(*business, &belongs)?;
            }
            let displays = NumberRecord::Displays(*business);
            match display {
                Some(display) if display != business && records.read().number(*display)? != Some(displays) => {
                    records.put_number(*display, &displays)
                }
                _ => Ok(()),
            }
        }
        NoticeWhat::TemplateStatus { template, approved, category } => {
            amend_template(records, notice, template, Some(*approved), *category)
        }
        NoticeWhat::TemplateCategory { template, category } => {
            amend_template(records, notice, template, None, Some(*category))
        }
    }
}

/// Keeps what a notice says of a template, unless something newer is known. Status and category are told apart from each other, and late.
fn amend_template(
    records: &mut RecordsMut<'_>,
    notice: &Notice,
    template: &TemplateName,
    approved: Option<bool>,
    category: Option<Category>,
) -> Result<()> {
    let mut record = records.read().template(notice.account, template)?.unwrap_or(TemplateRecord {
        template: template.clone(),
        approved: None,
        category: None,
        as_of: None,
        approved_as_of: None,
        category_as_of: None,
    });
    let is_news = |as_of: Option<Timestamp>| notice.at.is_none() || as_of <= notice.at;
    if approved.is_some() && is_news(record.approved_as_of) {
        (record.approved, record.approved_as_of) = (approved, notice.at.or(record.approved_as_of));
    }
    if category.is_some() && is_news(record.category_as_of) {
        (record.category, record.category_as_of) = (category, notice.at.or(record.category_as_of));
    }
    record.as_of = record.approved_as_of.max(record.category_as_of);
    records.put_template(notice.account, &record)
}
