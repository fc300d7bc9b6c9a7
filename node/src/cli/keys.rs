//! `coterie keys`: makes key files and shows the public part of them.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
};

use alloy_primitives::hex;
use anyhow::{Context, Result, bail};
use coterie_node::{
    config::{Config, KeyFile, Problem},
    enclave::keys::{Argon2Cost, KeyPair, read_key_file, read_public_key_file, write_key_files},
    service::markers::MarkerKey,
};
use zeroize::Zeroizing;

use super::{KeyKind, KeysCommand, out};

/// Key and password files are short.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Does what was typed.
pub(super) fn run(command: KeysCommand) -> Result<()> {
    match command {
        KeysCommand::Generate { mut path, kind: KeyKind::Enclave, password_file } => {
            // As it will be called: `alice.key` names the pair of `alice`.
            if path.extension().is_some_and(|it| it == "key") {
                path.set_extension("");
            }
            out::line(generate_enclave_key(&path, password_file.as_deref())?)?;
        }
        KeysCommand::Generate { path, kind: KeyKind::Marker, password_file } => {
            unlocked(password_file.as_deref())?;
            out::line(generate_marker_key(&path)?)?;
        }
        KeysCommand::Show { path, kind: KeyKind::Enclave, password_file } => {
            out::line(show_enclave_key(&path, password_file.as_deref())?)?;
        }
        KeysCommand::Show { path, kind: KeyKind::Marker, password_file } => {
            unlocked(password_file.as_deref())?;
            out::line(read_marker_key(&path)?.address)?;
        }
    }
    Ok(())
}

/// Reads a marker signing key: 64 hex digits, `0x` optional.
///
/// # Errors
///
/// No such file, or no key in it.
pub(super) fn read_marker_key(path: &Path) -> Result<MarkerKey> {
    let name = path.display();
    let text = read_short(path)?;
    let mut secret = Zeroizing::new([0; 32]);
    let decoded = hex::decode_to_slice(text.trim(), secret.as_mut_slice()).ok();
    decoded
        .and_then(|()| MarkerKey::new(*secret))
        .with_context(|| format!("{name} holds no secp256k1 key: 64 hex digits are expected"))
}

/// Reads an enclave key's file, with its password when there is one.
///
/// # Errors
///
/// No such file, no key in it, or another password.
pub(super) fn read_enclave_key(path: &Path, password_file: Option<&Path>) -> Result<KeyPair> {
    let password = password_file.map(read_password).transpose()?;
    read_key_file(path, password.as_ref().map(|it| it.as_str()))
        .with_context(|| format!("cannot use the key file {}", path.display()))
}

/// Reads the enclave's keys, the default first; also what is odd about them.
///
/// # Errors
///
/// One of them cannot be read.
pub(super) fn read_enclave_keys(files: &[KeyFile]) -> Result<(Vec<KeyPair>, Vec<Problem>)> {
    let pairs = files.iter().map(|it| read_enclave_key(&it.file, it.password_file.as_deref()));
    let pairs: Vec<_> = pairs.collect::<Result<_>>()?;
    let held = files.iter().zip(&pairs).map(|(it, pair)| (it.file.as_path(), pair.enclave_key()));
    let problems = Config::repeated_keys(&held.collect::<Vec<_>>());
    Ok((pairs, problems))
}

fn generate_enclave_key(path: &Path, password_file: Option<&Path>) -> Result<String> {
    let password = password_file.map(read_password).transpose()?;
    let pair = KeyPair::generate()?;
    let password = password.as_ref().map(|it| (it.as_str(), Argon2Cost::default()));
    write_key_files(path, &pair, password)
        .with_context(|| format!("cannot write {0}.key and {0}.pub", path.display()))?;
    Ok(pair.enclave_key().to_base64())
}

fn generate_marker_key(path: &Path) -> Result<String> {
    let mut secret = Zeroizing::new([0; 32]);
    // All but one in 2^127 are keys.
    let key = loop {
        getrandom::fill(secret.as_mut_slice()).context("the system has no random bytes")?;
        if let Some(key) = MarkerKey::new(*secret) {
            break key;
        }
    };
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let text = Zeroizing::new(hex::encode(secret.as_slice()));
    let written = options.open(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.with_context(|| format!("cannot write {}", path.display()))?;
    Ok(key.address.to_string())
}

fn show_enclave_key(path: &Path, password_file: Option<&Path>) -> Result<String> {
    if path.extension().is_some_and(|it| it == "pub") {
        let key = read_public_key_file(path)
            .with_context(|| format!("cannot use the key file {}", path.display()))?;
        return Ok(key.to_base64());
    }
    match read_enclave_key(path, password_file) {
        Ok(pair) => Ok(pair.enclave_key().to_base64()),
        Err(_) if read_marker_key(path).is_ok() => {
            bail!("{} holds a key of markers: add --kind marker", path.display())
        }
        Err(error) => Err(error),
    }
}

/// The first line of a password file.
fn read_password(path: &Path) -> Result<Zeroizing<String>> {
    let text = read_short(path)?;
    let line = text.lines().next().unwrap_or_default();
    anyhow::ensure!(!line.is_empty(), "the password file {} is empty", path.display());
    Ok(Zeroizing::new(line.to_owned()))
}

fn read_short(path: &Path) -> Result<Zeroizing<String>> {
    let cannot = || format!("cannot read {}", path.display());
    let size = fs::metadata(path).with_context(cannot)?.len();
    anyhow::ensure!(size <= FILE_BYTES_MAX, "{} is too large for its purpose", path.display());
    Ok(Zeroizing::new(fs::read_to_string(path).with_context(cannot)?))
}

fn unlocked(password_file: Option<&Path>) -> Result<()> {
    if password_file.is_some() {
        bail!("marker keys have no password: protect the file");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_in_two_files_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let pair = KeyPair::generate().unwrap();
        for name in ["one", "two"] {
            write_key_files(&at(name), &pair, None).unwrap();
        }
        write_key_files(&at("three"), &KeyPair::generate().unwrap(), None).unwrap();
        let read = |names: &[&str]| {
            let file = |name: &&str| KeyFile { file: at(name), password_file: None };
            read_enclave_keys(&names.iter().map(file).collect::<Vec<_>>()).unwrap()
        };
        let (pairs, problems) = read(&["one.key", "three.key"]);
        assert_eq!((pairs.len(), problems.len()), (2, 0));
        let (pairs, problems) = read(&["one.key", "three.key", "two.key"]);
        assert_eq!((pairs.len(), problems.len()), (3, 1));
        let text = &problems[0].text;
        assert!(text.contains("two.key") && text.contains("one.key"), "{text}");
    }

    #[test]
    fn generated_enclave_keys_are_shown_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("alice");
        let made = generate_enclave_key(&path, None).unwrap();
        assert_eq!(show_enclave_key(&path.with_extension("key"), None).unwrap(), made);
        assert_eq!(show_enclave_key(&path.with_extension("pub"), None).unwrap(), made);
        assert!(generate_enclave_key(&path, None).is_err(), "existing files are kept");
    }

    #[test]
    fn generated_marker_keys_are_shown_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("marker.key");
        let made = generate_marker_key(&path).unwrap();
        assert_eq!(read_marker_key(&path).unwrap().address.to_string(), made);
        assert!(generate_marker_key(&path).is_err(), "an existing file is kept");
    }

    #[test]
    fn a_marker_key_is_64_hex_digits() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("marker.key");
        // A published test key and its address.
        let key = "8f2a55949038a9610f50fb23b5883af3b4ecb3c3bb792cbcefbd1542c692be63";
        for text in [key.to_owned(), format!("0x{key}\n")] {
            fs::write(&path, text).unwrap();
            let address = read_marker_key(&path).unwrap().address;
            assert_eq!(address.to_string(), "0xFE3B557E8Fb62b89F4916B721be55cEb828dBd73");
        }
        for text in ["", "12", &"0".repeat(64), &"f".repeat(64), &"zz".repeat(32)] {
            fs::write(&path, text).unwrap();
            assert!(read_marker_key(&path).is_err(), "{text}");
        }
    }

    #[test]
    fn passwords_are_the_first_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        fs::write(&path, "secret word\nsecond line\n").unwrap();
        assert_eq!(read_password(&path).unwrap().as_str(), "secret word");
        fs::write(&path, "\n").unwrap();
        assert!(read_password(&path).is_err());
        assert!(unlocked(Some(&path)).is_err());
    }
}
