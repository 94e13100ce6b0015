//! The template catalogue: what is known of a template when a send names it.

use crate::error::Result;
use crate::gate::config::Config;
use crate::party::Business;
use crate::rules::decision::Standing;
use crate::rules::event::TemplateName;
use crate::store::Records;
use crate::store::codec::NumberRecord;

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
    let record = match records.number(business)? {
        Some(NumberRecord::Belongs(account)) => records.template(account, template)?,
        _ => None,
    }
    .unwrap_or_default();
    let category = record.category.or_else(|| config.template_category(template));
    Ok(Standing { approved: record.approved, category })
}
