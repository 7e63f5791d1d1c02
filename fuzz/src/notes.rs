//! `store`: any bytes as the agent's notes on a certificate (`state/<key>.json`).

use std::sync::LazyLock;

use staplegun_store::files::Files;

use crate::scratch;

static FILES: LazyLock<Files> =
    LazyLock::new(|| Files::open(&scratch::directory("store")).expect("a store can be made"));

/// What is understood is written so that it is understood alike.
pub fn run(data: &[u8]) {
    let key = [1; 32];
    std::fs::write(FILES.state.path_of(&key), data).expect("the notes can be written");
    match FILES.notes(&key) {
        Ok(None) => unreachable!("the file is there"),
        Ok(Some(notes)) => {
            // Through the encoder alone: the disk is not what is tested here.
            let again = serde_json::to_vec(&notes).expect("notes are encoded");
            let again = serde_json::from_slice(&again).expect("and understood");
            assert_eq!(notes, again);
        }
        Err(error) => assert!(error.to_string().contains(".json"), "{error}"),
    }
}
