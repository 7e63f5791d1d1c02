//! What a Sentinel says of where the store is.

use super::address::Host;
use super::resp::Value;
use super::trouble::Trouble;

/// Reads the reply to SENTINEL GET-MASTER-ADDR-BY-NAME.
///
/// # Errors
///
/// If it knows none of that name.
pub fn host(reply: Value, name: &str, sentinel: &Host) -> Result<Host, Trouble> {
    let unknown = || {
        Trouble::new(
            "sentinel",
            format_args!("the Sentinel {sentinel} watches nothing that it calls {name:?}"),
        )
    };
    let Value::List(parts) = reply else {
        return Err(unknown());
    };
    let text = |at: usize| parts.get(at).and_then(Value::text).ok_or_else(unknown);
    Ok(Host {
        name: text(0)?.to_owned(),
        port: text(1)?.parse().map_err(|_| unknown())?,
    })
}
