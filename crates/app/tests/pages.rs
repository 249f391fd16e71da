//! Every page of the binary as it ships, in a real browser: Ada and Grace walk through all of them
//! (`tests/peers/pages.mjs`), and each is looked at in light and dark, on a desk and on a phone.
//!
//! With `ATTACHE_PICTURES` set to a folder, the walk leaves the documentation's pictures there.

#[cfg(test)]
mod support {
    pub(crate) mod company;
    #[expect(dead_code, reason = "this gateway is only started and stopped")]
    pub(crate) mod gateway;
    #[expect(dead_code, reason = "the API is not asked")]
    pub(crate) mod http;
    #[expect(dead_code, reason = "the walk has a browser of its own")]
    pub(crate) mod peers;
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::support::{company::Company, peers::run};

    /// What is worth a look; with a page that comes, this rises.
    const PAGES: usize = 58;

    #[test]
    fn every_page_is_good_for_everybody() {
        let mut company = Company::start();
        let walked = run("pages.mjs", &json!({ "gateway": company.url }));
        let wrong = walked["wrong"].as_array().expect("the walk came to its end");
        let wrong: Vec<_> = wrong.iter().filter_map(Value::as_str).collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        let seen = walked["seen"].as_array().map(Vec::len);
        assert!(seen >= Some(PAGES), "not all pages were seen: {}", walked["seen"]);
        company.gateway.stop();
        company.gateway.forget();
    }
}
