//! A signature header, a line break, and the body that it stands over: it is taken if and only if one of the secrets made it.

use csw::wire::signature::verify;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::first_line;

const SECRETS: [&str; 3] = ["the new secret", "", "the old secret"];

/// Verifies a header over a body, then true signatures and what is nearly one.
pub fn check(bytes: &[u8]) {
    let (header, body) = first_line(bytes);
    let made = SECRETS.map(|secret| signature(secret, body));
    let is_made = |header: &str| {
        let hex = header.strip_prefix("sha256=").map(str::to_ascii_lowercase);
        hex.is_some_and(|hex| hex == made[0] || hex == made[2])
    };
    assert_eq!(verify(&SECRETS, Some(header), body).is_ok(), is_made(header));
    assert!(verify(&SECRETS, None, body).is_err());
    assert!(verify(&SECRETS[1..2], Some(&format!("sha256={}", made[1])), body).is_err(), "an empty secret is none");
    for true_one in [&made[0], &made[2]] {
        let whole = format!("sha256={true_one}");
        assert!(verify(&SECRETS, Some(&whole), body).is_ok());
        let place = 7 + header.len() % 64;
        let (before, after) = (&whole[..place], &whole[place + 1..]);
        let other = if whole.as_bytes()[place] == b'0' { '1' } else { '0' };
        assert!(verify(&SECRETS, Some(&format!("{before}{other}{after}")), body).is_err(), "one digit is another");
        assert!(verify(&SECRETS, Some(&format!("{before}{after}")), body).is_err(), "one digit is missing");
        assert!(verify(&SECRETS, Some(&format!("{whole}{header}0")), body).is_err(), "there is more");
        assert!(verify(&SECRETS, Some(&whole), &[body, b" "].concat()).is_err(), "the body is longer");
        if let Some((_, shorter)) = body.split_last() {
            assert!(verify(&SECRETS, Some(&whole), shorter).is_err(), "the body is shorter");
        }
    }
}

fn signature(secret: &str, body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length is one");
    mac.chain_update(body).finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}
