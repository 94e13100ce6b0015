//! The platform's signature of a webhook (Meta, Webhooks: validate payloads).

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::error::{Code, Error, Result};

/// Checks `X-Hub-Signature-256` over the raw bytes of a webhook. Any of the secrets may have made it, so that they can be rotated.
///
/// # Errors
/// `Signature` when no secret is configured (an empty one is none), the header is missing or malformed, or no secret made it.
pub fn verify(secrets: &[impl AsRef<[u8]>], header: Option<&str>, body: &[u8]) -> Result<()> {
    let mut secrets = secrets.iter().map(AsRef::as_ref).filter(|secret| !secret.is_empty()).peekable();
    if secrets.peek().is_none() {
        return Err(unproven("no webhook secret is configured; add the app secret under [webhook]"));
    }
    let header = header.ok_or_else(|| unproven("X-Hub-Signature-256 is missing; pass the request's header on"))?;
    let signature = header.strip_prefix("sha256=").and_then(decoded).ok_or_else(|| {
        unproven("X-Hub-Signature-256: expected sha256= and 64 hex digits; pass the request's header on as it came")
    })?;
    let made_it = |secret: &[u8]| {
        Hmac::<Sha256>::new_from_slice(secret).is_ok_and(|mac| mac.chain_update(body).verify_slice(&signature).is_ok())
    };
    if secrets.any(made_it) {
        return Ok(());
    }
    Err(unproven(
        "X-Hub-Signature-256 matches no configured secret; check the app secret, and pass the body on byte for byte",
    ))
}

fn unproven(message: &str) -> Error {
    Error::new(Code::Signature, message)
}

fn decoded(hex: &str) -> Option<[u8; 32]> {
    let hex: &[u8; 64] = hex.as_bytes().try_into().ok()?;
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
        *byte = (digit(pair[0])? << 4) | digit(pair[1])?;
    }
    Some(bytes)
}
