//! Markets: which country a customer counts for, and which of the platform's rates that country is charged at.
//!
//! The platform goes by the calling code of the customer's number and, where it knows no number, by the country that the user id begins with
//! (Meta, Pricing on the WhatsApp Business Platform, "Country calling codes"). `countries.txt` holds all of it; there is no country in the code.

use std::collections::HashMap;
use std::fmt;

use once_cell::sync::Lazy;
use serde::{Deserialize, Serialize};

use crate::party::{Customer, Kind};
use crate::time::Day;

/// No calling code of the table, with its area code, has more digits.
const PREFIX_MAX: usize = 4;
/// All numbers of up to so many digits.
const PREFIXES: usize = 10 + 100 + 1000 + 10_000;

/// A country by its ISO 3166-1 alpha-2 code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Country([u8; 2]);

impl Country {
    /// The country of a code such as `BR`; `None` for codes that the table does not hold.
    pub fn parse(code: &str) -> Option<Country> {
        letters(code).filter(|country| TABLE.rows.contains_key(country))
    }

    /// The country that a customer counts for: of a phone number by its calling code and, where several countries share that, its area code;
    /// of a user id by its first two letters.
    ///
    /// `None` for groups, for user ids of unknown countries, and for calling codes that no country has (satellites, international free phone).
    pub fn of(customer: &Customer) -> Option<Country> {
        let text = customer.text();
        match customer.kind() {
            Kind::Phone => {
                (1..=PREFIX_MAX).rev().find_map(|length| *TABLE.prefixes.get(place_of(text.get(..length)?)?)?)
            }
            Kind::User => text.get(..2).and_then(Country::parse),
            Kind::Group => None,
        }
    }

    /// All countries of the table.
    pub fn all() -> impl Iterator<Item = Country> {
        TABLE.rows.keys().copied()
    }

    /// The two letters.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A group of countries that the platform charges one rate for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(i32)]
pub enum Region {
    /// Canada and the United States.
    NorthAmerica = 1,
    /// Most of Africa; what it lacks is in `Other`.
    RestOfAfrica = 2,
    /// From Afghanistan to New Zealand.
    RestOfAsiaPacific = 3,
    /// Central and Eastern Europe and the Caucasus.
    RestOfCentralAndEasternEurope = 4,
    /// Central and South America, and some of the Caribbean.
    RestOfLatinAmerica = 5,
    /// The Middle East.
    RestOfMiddleEast = 6,
    /// Western and Northern Europe.
    RestOfWesternEurope = 7,
    /// Every country that the platform lists nowhere.
    Other = 8,
}

words!(Region {
    NorthAmerica = "north_america",
    RestOfAfrica = "rest_of_africa",
    RestOfAsiaPacific = "rest_of_asia_pacific",
    RestOfCentralAndEasternEurope = "rest_of_central_and_eastern_europe",
    RestOfLatinAmerica = "rest_of_latin_america",
    RestOfMiddleEast = "rest_of_middle_east",
    RestOfWesternEurope = "rest_of_western_europe",
    Other = "other",
});

/// Where the platform charges one rate: a country by itself, or one of its groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Market {
    /// A country with a rate of its own.
    Country(Country),
    /// A group of countries.
    Region(Region),
}

impl Market {
    /// The market that a country belongs to on a day of the account's time zone, as published for that day.
    pub fn of(country: Country, on: Day) -> Market {
        let places = TABLE.rows.get(&country).map(|row| row.places.as_slice()).unwrap_or_default();
        let place = places.iter().find(|place| place.until.is_none_or(|until| on < until));
        place.map_or(Market::Region(Region::Other), |place| place.market)
    }

    /// The market of a name as rate cards write it: `India`, `Rest of Central & Eastern Europe`, `Türkiye`.
    ///
    /// Case, spaces and punctuation do not matter, and `&` is `and`. Every country of the table has its usual English names here, whether it
    /// has a rate of its own today or not: later cards may name more of them.
    pub fn named(name: &str) -> Option<Market> {
        TABLE.names.get(&key(name)).copied()
    }

    /// The word for it: `india`, `united_kingdom`, `rest_of_africa`.
    pub fn word(self) -> &'static str {
        match self {
            Market::Country(country) => TABLE.rows.get(&country).map_or("unknown", |row| row.word.as_str()),
            Market::Region(region) => region.word(),
        }
    }

    /// The market of a word.
    pub fn from_word(word: &str) -> Option<Market> {
        Market::named(word).filter(|market| market.word() == word)
    }
}

/// Where a country is charged, until the day on which that changes.
struct Place {
    market: Market,
    until: Option<Day>,
}

struct Row {
    word: String,
    /// In the order of time; the last one has no end.
    places: Vec<Place>,
}

#[derive(Default)]
struct Table {
    rows: HashMap<Country, Row>,
    /// By the [`place_of`] of a calling code with its area code: each send asks for one.
    prefixes: Vec<Option<Country>>,
    /// By [`key`].
    names: HashMap<String, Market>,
}

static TABLE: Lazy<Table> = Lazy::new(|| {
    let mut table = Table { prefixes: vec![None; PREFIXES], ..Table::default() };
    for region in Region::ALL {
        table.names.insert(key(region.word()), Market::Region(*region));
    }
    for line in lines() {
        let Some((country, places, names, prefixes)) = cells(line) else { continue };
        let names = names.split(" / ");
        let word = names.clone().next().map(word).unwrap_or_default();
        table.names.extend(names.map(|name| (key(name), Market::Country(country))));
        for place in prefixes.split_whitespace().filter_map(place_of) {
            table.prefixes.get_mut(place).into_iter().for_each(|of| *of = Some(country));
        }
        table.rows.insert(country, Row { word, places });
    }
    table
});

/// A number of few digits by its place among all of them: the shorter ones come first.
fn place_of(digits: &str) -> Option<usize> {
    let number: usize = digits.parse().ok()?;
    let shorter: usize = (1..digits.len()).map(|length| 10_usize.pow(length as u32)).sum();
    Some(shorter + number)
}

fn lines() -> impl Iterator<Item = &'static str> {
    include_str!("countries.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// A line of the table: the country, where it is charged, its names, its calling codes.
fn cells(line: &'static str) -> Option<(Country, Vec<Place>, &'static str, &'static str)> {
    let mut cells = line.split('|').map(str::trim);
    let country = letters(cells.next()?)?;
    let places = cells.next()?.split(", ").map(place).collect::<Option<_>>()?;
    Some((country, places, cells.next()?, cells.next()?))
}

fn place(text: &str) -> Option<Place> {
    let (market, until) = match text.split_once(" until ") {
        Some((market, day)) => (market, Some(Day::parse(day).ok()?)),
        None => (text, None),
    };
    let region = Region::from_word(market).map(Market::Region);
    let market = region.or_else(|| letters(market).map(Market::Country))?;
    Some(Place { market, until })
}

/// A code by its form alone.
fn letters(code: &str) -> Option<Country> {
    code.as_bytes().try_into().ok().filter(|code: &[u8; 2]| code.iter().all(u8::is_ascii_uppercase)).map(Country)
}

/// What of a name counts: its letters and digits, in small letters, with `&` read as `and`.
fn key(name: &str) -> String {
    name.replace('&', "and").chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The word of a name: `united_kingdom` of `United Kingdom`.
fn word(name: &str) -> String {
    let parts = name.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    parts.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("_")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const DAYS: [(i32, u32, u32); 7] =
        [(2023, 6, 1), (2025, 9, 30), (2025, 10, 1), (2026, 6, 30), (2026, 7, 1), (2026, 9, 30), (2026, 10, 1)];

    fn country(customer: &str) -> Option<Country> {
        Country::of(&Customer::parse(customer).unwrap())
    }

    fn market(customer: &str, on: &str) -> &'static str {
        Market::of(country(customer).unwrap(), Day::parse(on).unwrap()).word()
    }

    #[test]
    fn numbers_belong_to_the_country_of_the_longest_calling_code() {
        let table = [
            ("5511987654321", "BR", "brazil"),
            ("919876543210", "IN", "india"),
            ("447700900123", "GB", "united_kingdom"),
            ("447781123456", "GB", "united_kingdom"), // Guernsey
            ("16505551234", "US", "north_america"),
            ("14165551234", "CA", "north_america"),
            ("18005551234", "US", "north_america"),
            ("18095551234", "DO", "rest_of_latin_america"),
            ("18295551234", "DO", "rest_of_latin_america"),
            ("18495551234", "DO", "rest_of_latin_america"),
            ("16585551234", "JM", "rest_of_latin_america"),
            ("18765551234", "JM", "rest_of_latin_america"),
            ("17875551234", "PR", "rest_of_latin_america"),
            ("19395551234", "PR", "rest_of_latin_america"),
            ("18685551234", "TT", "other"),
            ("12425551234", "BS", "other"),
            ("16715551234", "GU", "other"),
            ("79161234567", "RU", "russia"),
            ("77011234567", "KZ", "kazakhstan"),
            ("76001234567", "KZ", "kazakhstan"),
            ("242061234567", "CG", "rest_of_africa"),
            ("243991234567", "CD", "other"),
            ("5997911234", "BQ", "other"),
            ("59995181234", "CW", "other"),
            ("212650123456", "MA", "morocco"),
            ("390669812345", "IT", "italy"),
        ];
        for (phone, code, word) in table {
            assert_eq!(country(phone).map(|country| country.to_string()).as_deref(), Some(code), "{phone}");
            assert_eq!(market(phone, "2026-10-01"), word, "{phone}");
        }
    }

    #[test]
    fn user_ids_belong_to_the_country_they_begin_with() {
        let table = [
            ("BR.123", "brazil"),
            ("US.ENT.11815799212886844830", "north_america"),
            ("CA.1", "north_america"),
            ("PR.1", "rest_of_latin_america"),
            ("KZ.1", "kazakhstan"),
            ("GG.1", "other"),
            ("EH.1", "other"),
            ("XK.1", "other"),
        ];
        for (id, word) in table {
            assert_eq!(market(id, "2026-10-01"), word, "{id}");
        }
    }

    #[test]
    fn who_has_no_country_has_none() {
        for customer in ["group:5511987654321", "ZZ.123", "999123456", "870123456789", "8001234567", "210123456"] {
            assert_eq!(country(customer), None, "{customer}");
        }
        for code in ["", "B", "br", "BRA", "ZZ", "B1", "É"] {
            assert_eq!(Country::parse(code), None, "{code}");
        }
    }

    #[test]
    fn markets_change_on_their_day() {
        let table = [
            // code, before, the first day of the new one, after
            ("ZW", "other", "2025-10-01", "rest_of_africa"),
            ("HK", "rest_of_asia_pacific", "2026-07-01", "hong_kong"),
            ("HU", "rest_of_central_and_eastern_europe", "2026-07-01", "hungary"),
            ("PL", "rest_of_central_and_eastern_europe", "2026-07-01", "poland"),
            ("QA", "rest_of_middle_east", "2026-07-01", "qatar"),
            ("RO", "rest_of_central_and_eastern_europe", "2026-07-01", "romania"),
            ("SG", "rest_of_asia_pacific", "2026-07-01", "singapore"),
            ("BD", "rest_of_asia_pacific", "2026-10-01", "bangladesh"),
            ("IQ", "rest_of_middle_east", "2026-10-01", "iraq"),
            ("KZ", "russia", "2026-10-01", "kazakhstan"),
            ("KW", "rest_of_middle_east", "2026-10-01", "kuwait"),
            ("MA", "rest_of_africa", "2026-10-01", "morocco"),
            ("NP", "rest_of_asia_pacific", "2026-10-01", "nepal"),
            ("OM", "rest_of_middle_east", "2026-10-01", "oman"),
            ("LK", "rest_of_asia_pacific", "2026-10-01", "sri_lanka"),
            ("UA", "rest_of_central_and_eastern_europe", "2026-10-01", "ukraine"),
        ];
        for (code, before, day, after) in table {
            let (country, day) = (Country::parse(code).unwrap(), Day::parse(day).unwrap());
            let eve = DAYS.map(|(y, m, d)| Day::new(y, m, d)).into_iter().rfind(|other| *other < day).unwrap();
            assert_eq!(Market::of(country, eve).word(), before, "{code} on {eve}");
            assert_eq!(Market::of(country, day).word(), after, "{code} on {day}");
        }
        let changing = TABLE.rows.values().filter(|row| row.places.len() > 1).count();
        assert_eq!(changing, table.len());
    }

    #[test]
    fn the_published_number_of_markets_is_met() {
        let table = [((2025, 7, 1), 24 + 8), ((2026, 4, 1), 24 + 8), ((2026, 7, 1), 30 + 8), ((2026, 10, 1), 39 + 8)];
        for ((year, month, day), count) in table {
            let day = Day::new(year, month, day);
            let mut markets: Vec<_> = TABLE.rows.keys().map(|country| Market::of(*country, day)).collect();
            markets.sort();
            markets.dedup();
            assert_eq!(markets.len(), count, "{day}");
        }
    }

    #[test]
    fn every_country_is_charged_somewhere_on_every_day() {
        assert_eq!(TABLE.rows.len(), lines().count());
        for line in lines() {
            let (country, places, _, _) = cells(line).unwrap_or_else(|| panic!("{line}"));
            assert!(places.last().is_some_and(|place| place.until.is_none()), "{line}");
            assert!(places.iter().rev().skip(1).all(|place| place.until.is_some()), "{line}");
            for (year, month, day) in DAYS {
                let day = Day::new(year, month, day);
                if let Market::Country(named) = Market::of(country, day) {
                    assert_eq!(Market::of(named, day), Market::Country(named), "{line}: by itself on {day}?");
                }
            }
        }
    }

    #[test]
    fn names_and_calling_codes_are_unambiguous() {
        let mut taken: HashSet<String> = Region::ALL.iter().map(|region| key(region.word())).collect();
        for line in lines() {
            let (_, _, names, prefixes) = cells(line).unwrap();
            assert!(names.split(" / ").all(|name| taken.insert(key(name))), "{line}");
            for prefix in prefixes.split_whitespace() {
                assert!(taken.insert(prefix.into()), "{prefix}: {line}");
                assert!(prefix.len() <= PREFIX_MAX && prefix.bytes().all(|byte| byte.is_ascii_digit()), "{line}");
            }
        }
    }

    #[test]
    fn words_round_trip() {
        let countries = TABLE.rows.keys().map(|country| Market::Country(*country));
        for market in countries.chain(Region::ALL.iter().map(|region| Market::Region(*region))) {
            assert_eq!(Market::from_word(market.word()), Some(market), "{}", market.word());
            assert!(market.word().bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase()), "{}", market.word());
        }
        for word in ["", "India", "uk", "rest of africa", "unknown"] {
            assert_eq!(Market::from_word(word), None, "{word}");
        }
    }

    #[test]
    fn names_are_read_as_cards_write_them() {
        let table = [
            ("India", "india"),
            (" united  arab emirates ", "united_arab_emirates"),
            ("Turkey", "turkey"),
            ("Türkiye", "turkey"),
            ("North America", "north_america"),
            ("Rest of Central & Eastern Europe", "rest_of_central_and_eastern_europe"),
            ("Rest of Central and Eastern Europe", "rest_of_central_and_eastern_europe"),
            ("REST OF ASIA-PACIFIC", "rest_of_asia_pacific"),
            ("Other", "other"),
            ("Sri Lanka", "sri_lanka"),
            ("Côte d’Ivoire", "ivory_coast"),
            ("United States", "united_states"),
        ];
        for (name, word) in table {
            assert_eq!(Market::named(name).map(Market::word), Some(word), "{name}");
        }
        for name in ["", "Rest of", "Rest of the World", "Atlantis", "&"] {
            assert_eq!(Market::named(name), None, "{name}");
        }
    }

    #[test]
    fn a_country_is_stored_in_two_bytes() {
        let market = Market::named("Brazil").unwrap();
        let bytes = postcard::to_allocvec(&market).unwrap();
        assert_eq!(bytes, [0, b'B', b'R']);
        assert_eq!(postcard::from_bytes::<Market>(&bytes).unwrap(), market);
    }
}
