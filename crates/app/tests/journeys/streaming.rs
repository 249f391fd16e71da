//! Bodies pass through as they come, in any length, and streams end with the gateway (PX-18).

use std::{
    io::{self, BufRead as _, BufReader, Read as _},
    time::Instant,
};

use reqwest::blocking::{Body, Response};

use crate::support::{
    gateway::GRACE,
    people::Person,
    stage::{Setting, http, journey},
    upstream::{EVENTS, PACE, SLOW_BYTES},
};

/// Far more than the gateway may hold.
const LARGE: u64 = 128 * 1024 * 1024;
const MOST_HELD: u64 = 24 * 1024 * 1024;

#[test]
fn events_arrive_one_by_one() {
    journey(Setting::CALM, |stage| {
        let ada = Person::new(stage, "ada");
        let call = http().post(format!("{}/mcp/events", stage.url)).bearer_auth(&ada.bearer);
        let response = call.body("{}").send().expect("the gateway answers");
        let arrivals: Vec<Instant> = data_lines(response).map(|_| Instant::now()).collect();
        let [first, .., last] = arrivals.as_slice() else { panic!("{arrivals:?}") };
        assert_eq!(arrivals.len(), EVENTS);
        // Gathered anywhere on the way, they would come at once.
        let apart = last.duration_since(*first);
        assert!(apart > PACE * 3, "{EVENTS} events within {apart:?}");
    });
}

#[test]
fn large_bodies_pass_without_being_held() {
    journey(Setting::CALM, |stage| {
        let ada = Person::new(stage, "ada");
        let files = |path: &str| format!("{}/http/files/{path}", stage.url);
        // Everything that is set up once is set up.
        let small = http().get(files("download?1")).bearer_auth(&ada.bearer).send();
        assert_eq!(small.expect("an answer").status(), 200);
        let before = stage.gateway.peak_memory();

        let upload = Body::sized(io::repeat(b'x').take(LARGE), LARGE);
        let sent = http().post(files("upload")).bearer_auth(&ada.bearer).body(upload).send();
        assert_eq!(sent.expect("an answer").text().expect("a number"), LARGE.to_string());

        let download = http().get(files(&format!("download?{LARGE}"))).bearer_auth(&ada.bearer);
        let mut response = download.send().expect("an answer");
        let received = io::copy(&mut response, &mut io::sink()).expect("a whole body");
        assert_eq!(received, LARGE);

        let held = stage.gateway.peak_memory() - before;
        assert!(held < MOST_HELD, "{held} bytes of memory for bodies");
    });
}

#[test]
fn at_the_end_listening_is_cut_and_answers_are_completed() {
    journey(Setting::CALM, |stage| {
        let ada = Person::new(stage, "ada");
        let get = |path: &str| {
            let request = http().get(format!("{}{path}", stage.url)).bearer_auth(&ada.bearer);
            request.send().expect("the gateway answers")
        };
        let mut endless = data_lines(get("/mcp/events"));
        assert!(endless.next().is_some());
        let mut slow = get("/http/files/slow");
        slow.read_exact(&mut [0]).expect("a first byte");
        let call = http().post(format!("{}/mcp/events", stage.url)).bearer_auth(&ada.bearer);
        let mut result = data_lines(call.body("{}").send().expect("the gateway answers"));
        assert!(result.next().is_some());

        let asked = Instant::now();
        stage.gateway.terminate();
        drop(endless.last());
        assert!(asked.elapsed() < PACE * 5, "listening went on for {:?}", asked.elapsed());
        assert_eq!(result.count(), EVENTS - 1, "a tool's result was cut");
        let mut rest = Vec::new();
        slow.read_to_end(&mut rest).expect("an answer is completed");
        assert_eq!(rest.len(), SLOW_BYTES - 1);
        stage.gateway.wait_for_end();
        assert!(asked.elapsed() < GRACE, "it took {:?}", asked.elapsed());
    });
}

/// The events of a stream as they arrive, until it ends in whatever way.
fn data_lines(response: Response) -> impl Iterator<Item = String> {
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let lines = BufReader::new(response).lines().map_while(Result::ok);
    lines.filter(|line| line.starts_with("data: "))
}
