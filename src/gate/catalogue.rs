//! The template catalogue: what is known of a template when a send names it.

use crate::error::Result;
use crate::gate::config::Config;
use crate::party::Business;
use crate::rules::decision::Standing;
use crate::rules::event::TemplateName;
use crate::store::Records;
use crate::store::codec::NumberRecord;

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
    }
    .unwrap_or_default();
    let category = record.category.or_else(|| config.template_category(template));
    Ok(Standing { approved: record.approved, category })
}
