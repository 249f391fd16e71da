//! The kinds of key-encryption key.

pub mod local;
pub mod plugin;
pub mod transit;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::{
    aead::{KEY_LEN, Key},
    seal::DataKey,
};

/// The text form of 32 bytes: how a key lies in a file, and how it travels to a key service.
impl DataKey {
    fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.0.as_slice()))
    }

    fn from_base64(text: &str) -> Option<Self> {
        // One byte too many: `decode_slice` asks for room for whole groups of three.
        let mut bytes = Zeroizing::new([0; KEY_LEN + 1]);
        let length = STANDARD.decode_slice(text, bytes.as_mut_slice()).ok()?;
        let (key, _) = bytes.split_first_chunk::<KEY_LEN>()?;
        (length == KEY_LEN).then(|| Self(Key::new(*key)))
    }
}
