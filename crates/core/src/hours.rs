//! Hours of the week, by the clock on somebody's wall.

use std::str::FromStr;

use jiff::{ToSpan as _, civil, tz::TimeZone};

use crate::Timestamp;

/// Windows of a week in one time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hours {
    windows: Vec<Window>,
    zone: TimeZone,
}

/// `Mon-Fri 08:00-18:00`; `22:00-06:00` of every day, which ends on the next; `Sat,Sun`, all day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// On which it begins, from Monday.
    days: [bool; 7],
    /// Minutes of the day.
    from: u16,
    /// Not after `from`: of the day after.
    until: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("hours are written \"Mon-Fri 08:00-18:00\", \"22:00-06:00\" or \"Sat,Sun\"")]
pub struct InvalidWindow;

/// Whatever the windows are, a week later they are there again; with a day for zones that jump.
const AHEAD: i32 = 8;
const DAY: u16 = 24 * 60;

impl Hours {
    pub fn new(windows: Vec<Window>, zone: TimeZone) -> Self {
        Self { windows, zone }
    }

    pub fn include(&self, now: Timestamp) -> bool {
        let there = self.local(now);
        let (hour, minute) = (there.hour().unsigned_abs(), there.minute().unsigned_abs());
        let minute = u16::from(hour) * 60 + u16::from(minute);
        let today = usize::from(there.weekday().to_monday_zero_offset().unsigned_abs());
        self.windows.iter().any(|window| window.includes(today, minute))
    }

    /// When it is the first time after `now` that they do, or do not. `None`: never.
    pub fn next(&self, now: Timestamp, included: bool) -> Option<Timestamp> {
        let today = self.local(now).date();
        let mut turns: Vec<Timestamp> = (0..=AHEAD)
            .filter_map(|days| today.checked_add(days.days()).ok())
            .flat_map(|date| {
                let edges = self.windows.iter().flat_map(|window| [window.from, window.until]);
                edges.chain([0]).filter_map(move |minute| self.at(date, minute))
            })
            .collect();
        turns.sort_unstable();
        turns.into_iter().find(|at| *at > now && self.include(*at) == included)
    }

    fn local(&self, now: Timestamp) -> jiff::Zoned {
        let moment = jiff::Timestamp::from_millisecond(now.0).unwrap_or(jiff::Timestamp::MAX);
        moment.to_zoned(self.zone.clone())
    }

    /// An hour that a day skips is the next one that it has.
    fn at(&self, date: civil::Date, minute: u16) -> Option<Timestamp> {
        let minute = minute % DAY;
        let (hour, minute) = (i8::try_from(minute / 60).ok()?, i8::try_from(minute % 60).ok()?);
        let there = date.at(hour, minute, 0, 0).to_zoned(self.zone.clone()).ok()?;
        Some(Timestamp(there.timestamp().as_millisecond()))
    }
}

impl Window {
    fn includes(&self, today: usize, minute: u16) -> bool {
        let begins_on = |day: usize| self.days.get(day % 7) == Some(&true);
        if self.from < self.until {
            return begins_on(today) && (self.from..self.until).contains(&minute);
        }
        (begins_on(today) && minute >= self.from) || (begins_on(today + 6) && minute < self.until)
    }
}

impl FromStr for Window {
    type Err = InvalidWindow;

    fn from_str(text: &str) -> Result<Self, InvalidWindow> {
        let (days, times) = match text.split_once(' ') {
            Some((days, times)) => (Some(days), Some(times)),
            None if text.contains(':') => (None, Some(text)),
            None => (Some(text), None),
        };
        let days = days.map_or(Some([true; 7]), week).ok_or(InvalidWindow)?;
        let (from, until) = times.map_or(Some((0, DAY)), span).ok_or(InvalidWindow)?;
        Ok(Self { days, from, until })
    }
}

/// `Mon-Fri`, `Sat,Sun`, `Fri-Mon`
fn week(text: &str) -> Option<[bool; 7]> {
    let mut days = [false; 7];
    for piece in text.split(',') {
        let (first, last) = piece.split_once('-').unwrap_or((piece, piece));
        let (first, last) = (day(first)?, day(last)?);
        for step in 0..=(last + 7 - first) % 7 {
            *days.get_mut((first + step) % 7)? = true;
        }
    }
    Some(days)
}

fn day(text: &str) -> Option<usize> {
    const NAMES: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    NAMES.iter().position(|name| *name == text)
}

/// `None` for one without a length, which could mean nothing or a day.
fn span(text: &str) -> Option<(u16, u16)> {
    let (from, until) = text.split_once('-')?;
    let (from, until) = (minute(from)?, minute(until)?);
    (from < DAY && from != until).then_some((from, until))
}

/// `00:00` to `24:00`
fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let two = |digits: &str| {
        let fits = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<u16>().ok().filter(|_| fits)
    };
    let (hour, minute) = (two(hour)?, two(minute)?);
    (minute < 60 && hour * 60 + minute <= DAY).then_some(hour * 60 + minute)
}

#[cfg(test)]
mod tests {
    use jiff::tz::Offset;

    use super::*;

    fn hours(windows: &[&str], zone: TimeZone) -> Hours {
        Hours::new(windows.iter().map(|text| text.parse().unwrap()).collect(), zone)
    }

    fn at(text: &str) -> Timestamp {
        Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    /// 2026-11-23 is a Monday.
    #[test]
    fn a_window_is_open_from_its_first_minute_to_before_its_last() {
        for (window, inside, outside) in [
            (
                "Mon-Fri 08:00-18:00",
                &["2026-11-23T08:00:00Z", "2026-11-27T17:59:59Z"][..],
                &["2026-11-23T07:59:59Z", "2026-11-23T18:00:00Z", "2026-11-28T12:00:00Z"][..],
            ),
            (
                "Fri 22:00-06:00",
                &["2026-11-27T22:00:00Z", "2026-11-28T05:59:00Z"],
                &["2026-11-28T22:00:00Z", "2026-11-27T05:00:00Z", "2026-11-28T06:00:00Z"],
            ),
            (
                "Sat,Sun",
                &["2026-11-28T00:00:00Z", "2026-11-29T23:59:59Z"],
                &["2026-11-27T23:59:59Z", "2026-11-30T00:00:00Z"],
            ),
            ("Sun-Mon 23:00-24:00", &["2026-11-23T23:30:00Z"], &["2026-11-24T23:30:00Z"]),
            ("00:00-24:00", &["2026-11-24T00:00:00Z", "2026-11-24T23:59:00Z"], &[]),
        ] {
            let hours = hours(&[window], TimeZone::UTC);
            assert!(inside.iter().all(|text| hours.include(at(text))), "{window}");
            assert!(!outside.iter().any(|text| hours.include(at(text))), "{window}");
        }
        for bad in [
            "",
            " ",
            "Mon-",
            "mon",
            "Monday",
            "08:00",
            "8:00-18:00",
            "08:00-08:00",
            "24:00-06:00",
            "08:00-25:00",
            "08:60-09:00",
            "Mon  08:00-09:00",
            "Mon 08:00-09:00 ",
            "+8:00-09:00",
        ] {
            assert_eq!(bad.parse::<Window>(), Err(InvalidWindow), "{bad}");
        }
    }

    #[test]
    fn the_next_turn_is_told_in_the_zones_own_time() {
        let berlin = || TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let east = || TimeZone::fixed(Offset::from_seconds(5 * 3600 + 1800).unwrap());
        for (windows, zone, now, included, expected) in [
            (
                &["Mon-Fri 08:00-18:00"][..],
                TimeZone::UTC,
                "2026-11-23T18:00:00Z",
                true,
                Some("2026-11-24T08:00:00Z"),
            ),
            (
                &["Mon-Fri 08:00-18:00"],
                TimeZone::UTC,
                "2026-11-27T20:00:00Z",
                true,
                Some("2026-11-30T08:00:00Z"),
            ),
            (
                &["Mon 08:00-09:00"],
                TimeZone::UTC,
                "2026-11-23T09:00:00Z",
                true,
                Some("2026-11-30T08:00:00Z"),
            ),
            (
                &["22:00-06:00"],
                TimeZone::UTC,
                "2026-11-23T23:00:00Z",
                false,
                Some("2026-11-24T06:00:00Z"),
            ),
            (
                &["08:00-12:00", "12:00-18:00"],
                TimeZone::UTC,
                "2026-11-23T09:00:00Z",
                false,
                Some("2026-11-23T18:00:00Z"),
            ),
            (&["08:00-18:00"], east(), "2026-11-23T00:00:00Z", true, Some("2026-11-23T02:30:00Z")),
            // Summer time ends on the 25th of October, and begins on the 29th of March.
            (
                &["Sun 08:00-18:00"],
                berlin(),
                "2026-10-24T20:00:00Z",
                true,
                Some("2026-10-25T07:00:00Z"),
            ),
            (
                &["Sun 08:00-18:00"],
                berlin(),
                "2026-03-28T20:00:00Z",
                true,
                Some("2026-03-29T06:00:00Z"),
            ),
            (
                &["Sun 02:30-04:00"],
                berlin(),
                "2026-03-28T20:00:00Z",
                true,
                Some("2026-03-29T01:30:00Z"),
            ),
            (&["Mon-Sun"], TimeZone::UTC, "2026-11-23T00:00:00Z", false, None),
        ] {
            let next = hours(windows, zone).next(at(now), included);
            assert_eq!(next, expected.map(at), "{windows:?} {now}");
        }
    }
}
