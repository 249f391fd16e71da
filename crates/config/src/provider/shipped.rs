//! The templates in the program: `providers/` at the root of the repository.

/// Name and text, by name.
pub const SHIPPED: &[(&str, &str)] = &[
    ("airtable", include_str!("../../../../providers/airtable.toml")),
    ("asana", include_str!("../../../../providers/asana.toml")),
    ("atlassian", include_str!("../../../../providers/atlassian.toml")),
    ("box", include_str!("../../../../providers/box.toml")),
    ("cloudflare", include_str!("../../../../providers/cloudflare.toml")),
    ("dropbox", include_str!("../../../../providers/dropbox.toml")),
    ("figma", include_str!("../../../../providers/figma.toml")),
    ("github", include_str!("../../../../providers/github.toml")),
    ("gitlab", include_str!("../../../../providers/gitlab.toml")),
    ("google", include_str!("../../../../providers/google.toml")),
    ("hubspot", include_str!("../../../../providers/hubspot.toml")),
    ("linear", include_str!("../../../../providers/linear.toml")),
    ("microsoft", include_str!("../../../../providers/microsoft.toml")),
    ("notion", include_str!("../../../../providers/notion.toml")),
    ("salesforce", include_str!("../../../../providers/salesforce.toml")),
    ("sentry", include_str!("../../../../providers/sentry.toml")),
    ("slack", include_str!("../../../../providers/slack.toml")),
    ("stripe", include_str!("../../../../providers/stripe.toml")),
    ("vercel", include_str!("../../../../providers/vercel.toml")),
    ("zoom", include_str!("../../../../providers/zoom.toml")),
];

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_shipped() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../providers");
        let files: BTreeSet<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let shipped: BTreeSet<String> =
            SHIPPED.iter().map(|(name, _)| format!("{name}.toml")).collect();
        assert_eq!(files, shipped);
    }
}
