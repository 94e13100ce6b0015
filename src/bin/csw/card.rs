//! Reads the platform's rate cards: the list rates and the volume tiers, as CSV files or as workbooks, whatever the file is called.
//!
//! A card of list rates has a line of prose, then one column for each category. A card of volume tiers has one block of columns for each
//! category, whose name stands a line or two above it, and names the market in the first of its lines only:
//!
//! ```text
//! "Cost per message in USD ..., reflecting volume tiers",,,,,,,,,,,
//! ,,Utility,,,,,Authentication,,,,
//! ,,Messages per month,,What we charge,,,Messages per month,,What we charge,,
//! "Market
//! (per rate card)",Currency,From,To,Rate type,Rate,vs. List rate,From,To,Rate type,Rate,vs. List rate
//! India,$US,0,"25,000,000",List rate,0.0014,0%,0,"10,000,000",List rate,0.0014,0%
//! ,$US,"25,000,001",--,Tier rate,0.0013,-5%,"10,000,001",--,Tier rate,0.0013,-5%
//! ```
//!
//! Nothing but the names of the columns is relied on; their order, and what stands beside them, may change from card to card.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use calamine::{Reader as _, open_workbook_auto_from_rs};
use csv::ReaderBuilder;

use csw::error::{Error, Result};
use csw::gate::rates::Published;
use csw::money::{Amount, Currency};
use csw::rules::event::Category;
use csw::rules::market::Market;
use csw::rules::rate::Tier;

/// A published rate card.
#[derive(Debug)]
pub struct Card {
    /// The one currency of all its rates.
    pub currency: Currency,
    /// The rates, in the order of the file.
    pub rows: Vec<Row>,
    /// Columns and rows that could not be used, one sentence each, beginning with the place.
    pub left_out: Vec<String>,
    /// The columns that are about something else, each by its place: cards hold more than messages' rates.
    pub unused: Vec<String>,
}

/// One rate of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Where it is charged.
    pub market: Market,
    /// What it is charged for.
    pub category: Category,
    /// The rate of each message; a tier's is for the messages of a month from its first one on, until the next tier.
    pub rate: Published,
}

/// A rate from a message of the month on, counted from 1: the list rate where that is the first.
fn published(from: u64, rate: Amount) -> Published {
    if from <= 1 { Published::List(rate) } else { Published::Tier(Tier { from, rate }) }
}

fn first_message(rate: Published) -> u64 {
    match rate {
        Published::List(_) => 1,
        Published::Tier(tier) => tier.from,
    }
}

/// Reads a card. Workbooks are told by their first bytes, since the platform publishes some of them as `.csv`; all their sheets count.
///
/// # Errors
/// `Invalid`, with the file, the place and what to do: a file that is no card, an amount or a count that could be misread, more than one
/// currency, or none.
pub fn read(path: &Path) -> Result<Card> {
    let bytes = fs::read(path).map_err(|error| Error::invalid(format!("cannot be read: {error}")));
    bytes.and_then(|bytes| card(&bytes)).map_err(|error| error.at(path.display()))
}

/// Reads the bytes of a card.
///
/// # Errors
/// As [`read`], without the file.
pub fn card(bytes: &[u8]) -> Result<Card> {
    let workbook = WORKBOOKS.iter().any(|magic| bytes.starts_with(magic));
    let tables = if workbook { sheets(bytes)? } else { vec![lines(bytes)?] };
    let mut card = Draft::default();
    for table in &tables {
        card.add(table)?;
    }
    match card {
        Draft { currency: Some(currency), rows, left_out, unused } if !rows.is_empty() => {
            Ok(Card { currency, rows, left_out, unused })
        }
        _ => Err(Error::invalid(
            "no rates in it; expected a line with the column Market and a column for each category, and commas between the cells",
        )),
    }
}

/// How zip archives (xlsx, ods) and the older Excel files begin.
const WORKBOOKS: [&[u8]; 2] = [b"PK\x03\x04", b"\xd0\xcf\x11\xe0"];

/// Rows of cells, each with its place in the file.
type Table = Vec<(String, Vec<String>)>;

fn sheets(bytes: &[u8]) -> Result<Vec<Table>> {
    let mut book = open_workbook_auto_from_rs(Cursor::new(bytes))
        .map_err(|error| Error::invalid(format!("a workbook that cannot be read ({error}); save it as CSV")))?;
    let sheet = |(name, cells): (String, calamine::Range<calamine::Data>)| {
        let first = cells.start().map_or(0, |(row, _)| row);
        // Numbers come out as the shortest decimals that mean them, which is what was typed: 0.0118.
        let rows = cells.rows().map(|row| row.iter().map(ToString::to_string).collect());
        rows.zip(first + 1..).map(|(row, number)| (format!("sheet \"{name}\", row {number}"), row)).collect()
    };
    Ok(book.worksheets().into_iter().map(sheet).collect())
}

fn lines(bytes: &[u8]) -> Result<Table> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Error::invalid("neither UTF-8 nor a workbook; save it again as \"CSV UTF-8\" or as xlsx"))?;
    let text = text.trim_start_matches('\u{feff}');
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let row = |record: csv::Result<csv::StringRecord>| {
        let record = record.map_err(|error| Error::invalid(error.to_string()))?;
        // The reader's own count stands before the line breaks that it skips.
        let at = record.position().map_or(0, |position| position.byte() as usize);
        let start = text.len() - text[at..].trim_start_matches(['\r', '\n']).len();
        let line = 1 + text[..start].matches('\n').count();
        Ok((format!("line {line}"), record.iter().map(str::to_owned).collect()))
    };
    reader.records().map(row).collect()
}

/// What a column holds.
#[derive(Clone, Copy, PartialEq)]
enum Column {
    Market,
    Currency,
    Category,
    /// The first message of a tier, or its range.
    From,
    /// A rate of the category that stands above it or in the row.
    Rate,
    /// The rate of a category.
    Of(Category),
    /// What follows from the other columns.
    Spare,
}

/// The names of columns, without what stands in brackets, as [`key`] makes them.
const COLUMNS: [(&str, Column); 17] = [
    ("market", Column::Market),
    ("country", Column::Market),
    ("currency", Column::Currency),
    ("category", Column::Category),
    ("templatecategory", Column::Category),
    ("from", Column::From),
    ("range", Column::From),
    ("tier", Column::From),
    ("volumetier", Column::From),
    ("rate", Column::Rate),
    ("authintl", Column::Of(Category::AuthenticationInternational)),
    ("to", Column::Spare),
    ("ratetype", Column::Spare),
    ("vslistrate", Column::Spare),
    ("discount", Column::Spare),
    ("listratediscount", Column::Spare),
    ("", Column::Spare),
];

fn column(title: &str) -> Option<Column> {
    let key = key(title.split('(').next().unwrap_or_default());
    let known = COLUMNS.iter().find(|(name, _)| *name == key).map(|(_, column)| *column);
    known.or_else(|| category(title).map(Column::Of))
}

fn category(name: &str) -> Option<Category> {
    let key = key(name);
    let named = |category: &Category| *category != Category::Unknown && category.word().replace('_', "") == key;
    Category::ALL.iter().copied().find(named)
}

fn key(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
}

/// Where a table keeps what.
struct Layout {
    market: usize,
    currency: Option<usize>,
    category: Option<usize>,
    rates: Vec<Place>,
}

/// Where the rates of one category stand.
struct Place {
    rate: usize,
    /// `None`: the row names it.
    category: Option<Category>,
    from: Option<usize>,
}

impl Layout {
    /// The layout of the table under a row of titles; `None` for other rows. `above` is what stands above it.
    fn of(titles: &[String], above: &[(String, Vec<String>)]) -> Option<Layout> {
        let columns: Vec<_> = titles.iter().map(|title| column(title)).collect();
        let find = |wanted| columns.iter().position(|column| *column == Some(wanted));
        let place = |(rate, found): (usize, &Option<Column>)| {
            let category = match found {
                Some(Column::Of(category)) => Some(*category),
                Some(Column::Rate) => block(above, rate),
                _ => return None,
            };
            let before = columns[..rate].iter().rposition(|column| *column == Some(Column::From));
            Some(Place { rate, category, from: before.or_else(|| find(Column::From)) })
        };
        let rates: Vec<_> = columns.iter().enumerate().filter_map(place).collect();
        let layout = Layout {
            market: find(Column::Market)?,
            currency: find(Column::Currency),
            category: find(Column::Category),
            rates,
        };
        (!layout.rates.is_empty()).then_some(layout)
    }
}

/// The category whose block of columns a column belongs to: the nearest one above it and to the left.
fn block(above: &[(String, Vec<String>)], column: usize) -> Option<Category> {
    let title = |cell: &String| match self::column(cell) {
        Some(Column::Of(category)) => Some(category),
        _ => None,
    };
    above.iter().rev().find_map(|(_, cells)| cells.iter().take(column + 1).rev().find_map(title))
}

/// A card that is being read.
#[derive(Default)]
struct Draft {
    currency: Option<Currency>,
    rows: Vec<Row>,
    left_out: Vec<String>,
    unused: Vec<String>,
}

impl Draft {
    /// Adds the rates of a table; one without a row of titles has none.
    fn add(&mut self, table: &Table) -> Result<()> {
        let layout = |head: usize| Some((head, Layout::of(&table[head].1, &table[..head])?));
        let Some((head, layout)) = (0..table.len()).find_map(layout) else { return Ok(()) };
        let (place, titles) = &table[head];
        for title in titles.iter().filter(|title| column(title).is_none()) {
            let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
            self.unused.push(format!("{place}: the column \"{title}\" is not known"));
        }
        let stated = table[..head].iter().flat_map(|(_, cells)| cells).find_map(|prose| stated_currency(prose));
        let mut market = "";
        for (place, cells) in &table[head + 1..] {
            let cell = |column: usize| cells.get(column).map_or("", |cell| cell.trim());
            // Tiers name their market once.
            if !cell(layout.market).is_empty() {
                market = cell(layout.market);
            }
            let rates: Vec<_> = layout.rates.iter().filter(|rate| !is_nothing(cell(rate.rate))).collect();
            // Notes stand among the markets.
            if rates.is_empty() {
                continue;
            }
            let Some(market) = Market::named(market) else {
                self.left_out.push(format!("{place}: the market \"{market}\" is not known"));
                continue;
            };
            let written = layout.currency.map(cell).unwrap_or_default();
            let currency = self.settle(written, stated).map_err(|error| error.at(place))?;
            for rate in rates {
                let named = layout.category.map(cell).unwrap_or_default();
                let Some(category) = rate.category.or_else(|| category(named)) else {
                    self.left_out.push(format!("{place}: the category \"{named}\" is not known"));
                    continue;
                };
                let from = rate.from.map_or(Ok(1), |from| count(cell(from)));
                let rate = from.and_then(|from| Ok(published(from, amount(cell(rate.rate), currency)?)));
                let rate = rate.map_err(|error| error.at(place))?;
                self.keep(place, Row { market, category, rate });
            }
        }
        Ok(())
    }

    /// The currency of a row: the card's one, as the row writes it, or else the prose above the table.
    fn settle(&mut self, written: &str, stated: Option<Currency>) -> Result<Currency> {
        let found = if written.is_empty() { stated.or(self.currency) } else { Some(currency(written)?) };
        let found = found.ok_or_else(|| Error::invalid("no currency; add a column Currency, with USD, EUR, ..."))?;
        match self.currency.replace(found) {
            Some(other) if other != found => Err(Error::invalid(format!(
                "a rate in {found} after rates in {other}; give every currency a file of its own"
            ))),
            _ => Ok(found),
        }
    }

    /// Takes a rate, once: the card of the tiers repeats the list rates.
    fn keep(&mut self, place: &str, row: Row) {
        let same = |known: &&Row| {
            (known.market, known.category, first_message(known.rate))
                == (row.market, row.category, first_message(row.rate))
        };
        match self.rows.iter().find(same) {
            None => self.rows.push(row),
            Some(known) if *known == row => {}
            Some(_) => self.left_out.push(format!(
                "{place}: {}, {}, from {}: another rate stood before this one",
                row.market.word(),
                row.category.word(),
                first_message(row.rate)
            )),
        }
    }
}

/// Where there is no rate.
fn is_nothing(cell: &str) -> bool {
    matches!(cell.to_ascii_lowercase().as_str(), "" | "n/a" | "na" | "-" | "--" | "—")
}

/// How cards and spreadsheets write currencies, besides their codes. A bare `$` is an amount's sign in a card of US dollars, and no currency.
/// `GBD` is what a published card had for pounds.
const SIGNS: [(&str, &str); 10] = [
    ("$US", "USD"),
    ("US$", "USD"),
    ("A$", "AUD"),
    ("R$", "BRL"),
    ("€", "EUR"),
    ("£", "GBP"),
    ("GBD", "GBP"),
    ("₹", "INR"),
    ("RP", "IDR"),
    ("Rp", "IDR"),
];

fn currency(text: &str) -> Result<Currency> {
    let code = SIGNS.iter().find(|(sign, _)| *sign == text).map_or(text, |(_, code)| code);
    Currency::parse(code)
}

/// The currency that a line such as "Cost per message in BRL on the ..." states.
fn stated_currency(prose: &str) -> Option<Currency> {
    let (_, rest) = prose.trim().strip_prefix("Cost per ")?.split_once(" in ")?;
    currency(rest.split([' ', ',']).next()?).ok()
}

fn amount(text: &str, of: Currency) -> Result<Amount> {
    let signs = SIGNS.iter().chain(&[("$", "USD")]).filter(|(_, code)| *code == of.code());
    let bare = signs.filter_map(|(sign, _)| text.strip_prefix(sign)).next().unwrap_or(text);
    let amount = Amount::parse(&without_thousands(bare.trim_start())?)?;
    match amount < Amount::ZERO {
        true => Err(Error::invalid(format!("\"{text}\": no rate is negative"))),
        false => Ok(amount),
    }
}

/// An amount without the commas between its thousands, if they can be nothing else: `1,940.13` and `1,940,000`, but neither `0,0118` nor `1,940`.
fn without_thousands(text: &str) -> Result<String> {
    let (whole, cents) = text.split_once('.').map_or((text, None), |(whole, cents)| (whole, Some(cents)));
    let groups: Vec<_> = whole.split(',').collect();
    let threes = groups.iter().skip(1).all(|group| group.len() == 3) && (1..=3).contains(&groups[0].len());
    let decimals = cents.map_or(groups.len() > 2, |cents| !cents.contains(','));
    let thousands = threes && !whole.starts_with('0') && decimals;
    match text.contains(',') {
        true if !thousands => Err(Error::invalid(format!(
            "\"{text}\": this comma may stand before decimals; write 0.0118 with a point, and 1940 without a comma"
        ))),
        _ => Ok(text.replace(',', "")),
    }
}

/// The first number of a tier: `100,001`, `100,001 - 500,000`, `25000001:50000000`, `25,000,001+`.
fn count(text: &str) -> Result<u64> {
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != ',').unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    let range = rest.trim_start();
    let known = range.is_empty() || ["-", "–", "—", ":", "+", "to "].iter().any(|sign| range.starts_with(sign));
    number.replace(',', "").parse().ok().filter(|_| known).ok_or_else(|| {
        Error::invalid(format!("\"{text}\" is no number of messages; write the first one of the tier, such as 100001"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    use rust_xlsxwriter::Workbook;

    const LIST: &str = "\u{feff}\"Cost per message in BRL\",,,,,\r\n\
        \"Note: rates change, see the page.\",,,,,\r\n\
        Market,Currency,Marketing,Utility,Authentication,\"Authentication-\nInternational\",Service,Meta Business Agent\r\n\
        Brazil,BRL,0.3217,0.0350,0.0350,n/a,n/a,2.00\r\n\
        \"Rest of Central & Eastern Europe\",BRL,0.4000,,0.0910,0.3,--,\r\n";

    const TIERS: &str = "\"Cost per message in USD, reflecting volume tiers\",,,,,,,,,,,\n\
        \"See https://example.com\",,,,,,,,,,,\n\
        ,,Utility,,,,,Auth-Intl,,,,\n\
        ,,Messages per month,,What we charge,,,Messages per month,,What we charge,,\n\
        \"Market\n(per rate card)\",Currency,From,To,Rate type,Rate,vs. List rate,From,To,Rate type,Rate,vs. List rate\n\
        India,$US,0,\"25,000,000\",List rate,0.0014,0%,0,\"10,000,000\",List rate,0.0304,0%\n\
        ,,\"25,000,001\",--,Tier rate,0.0013,-5%,\"10,000,001\",--,Tier rate,0.0289,-5%\n\
        France,$US,0,\"100,000\",List rate,0.0300,0%,n/a,n/a,n/a,n/a,n/a\n\
        ,$US,\"100,001\",--,Tier rate,0.0285,-5%,n/a,n/a,n/a,n/a,n/a\n";

    /// The card as `market category from rate`, one rate a line.
    fn told(card: &Card) -> Vec<String> {
        let told = |row: &Row| {
            let (Published::List(rate) | Published::Tier(Tier { rate, .. })) = row.rate;
            format!("{} {} {} {rate}", row.market.word(), row.category.word(), first_message(row.rate))
        };
        card.rows.iter().map(told).collect()
    }

    fn told_of(text: &str) -> Vec<String> {
        told(&card(text.as_bytes()).unwrap())
    }

    fn refused(text: &str) -> String {
        card(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn list_rates_are_read_as_published() {
        let card = card(LIST.as_bytes()).unwrap();
        assert_eq!(card.currency.code(), "BRL");
        let expected = [
            "brazil marketing 1 0.3217",
            "brazil utility 1 0.035",
            "brazil authentication 1 0.035",
            "rest_of_central_and_eastern_europe marketing 1 0.4",
            "rest_of_central_and_eastern_europe authentication 1 0.091",
            "rest_of_central_and_eastern_europe authentication_international 1 0.3",
        ];
        assert_eq!(told(&card), expected);
        assert_eq!(card.unused, ["line 3: the column \"Meta Business Agent\" is not known"]);
    }

    #[test]
    fn tiers_are_read_as_published() {
        let card = card(TIERS.as_bytes()).unwrap();
        assert_eq!((card.currency.code(), card.left_out.len()), ("USD", 0));
        let expected = [
            "india utility 1 0.0014",
            "india authentication_international 1 0.0304",
            "india utility 25000001 0.0013",
            "india authentication_international 10000001 0.0289",
            "france utility 1 0.03",
            "france utility 100001 0.0285",
        ];
        assert_eq!(told(&card), expected);
        assert!(matches!(card.rows[0].rate, Published::List(_)));
        assert!(matches!(card.rows[2].rate, Published::Tier(Tier { from: 25_000_001, .. })));
    }

    #[test]
    fn other_shapes_of_the_same_are_read() {
        let table = [
            ("Marketing,Market,Currency\n0.0118,India,USD\n", "india marketing 1 0.0118"),
            ("Cost per conversation in USD\nMarket,Service\nOther,0.01\n", "other service 1 0.01"),
            ("Market,Currency,Category,From,To,Rate\nIndia,USD,Utility,\"100,001\",,0.1\n", "india utility 100001 0.1"),
            ("Rate,Range,Category,Market,Currency\n0.1,7 to 9,Utility,India,USD\n", "india utility 7 0.1"),
            ("Market,Currency,Range,Utility\nIndia,USD,\"100,001 - 500,000\",0.1\n", "india utility 100001 0.1"),
            ("Market,Currency,Range,Utility\nIndia,USD,25000001:50000000,0.1\n", "india utility 25000001 0.1"),
            ("Market,Currency,Range,Utility\nIndia,USD,\"25,000,001+\",0.1\n", "india utility 25000001 0.1"),
            ("Market,Currency,Utility,Range\nIndia,USD,0.1,3–4\n", "india utility 3 0.1"),
            ("Market,Currency,Utility\nIndia,USD,$0.1\n", "india utility 1 0.1"),
            ("Market,Currency,Utility\nIndia,$US,$US0.1\n", "india utility 1 0.1"),
            ("Market,Currency,Utility\nIndia,£,£ 0.1\n", "india utility 1 0.1"),
            ("Market,Currency,Marketing\nIndonesia,IDR,\"1,940.13\"\n", "indonesia marketing 1 1940.13"),
            ("Market,Currency,Marketing\nIndonesia,IDR,\"1,940,000\"\n", "indonesia marketing 1 1940000"),
        ];
        for (text, expected) in table {
            assert_eq!(told_of(text), [expected], "{text}");
        }
    }

    #[test]
    fn what_is_unknown_is_left_out_and_named() {
        let text = "Market,Currency,Category,From,Rate,Mood\nIndia,USD,Utility,0,0.1,fine\n\n\
            Atlantis,USD,Utility,0,0.1,wet\nIndia,USD,Gossip,0,0.1,\nIndia,USD,Utility,1,0.1,\nIndia,USD,Utility,0,0.2,\n\
            Note: tiers follow,,,,,\n";
        let card = card(text.as_bytes()).unwrap();
        assert_eq!(told(&card), ["india utility 1 0.1"]);
        let expected = [
            "line 4: the market \"Atlantis\" is not known",
            "line 5: the category \"Gossip\" is not known",
            "line 7: india, utility, from 1: another rate stood before this one",
        ];
        assert_eq!(card.left_out, expected);
        assert_eq!(card.unused, ["line 1: the column \"Mood\" is not known"]);
    }

    #[test]
    fn what_could_be_misread_is_refused() {
        let table = [
            (
                "Market,Currency,Utility\nIndia,USD,\"0,0118\"\n",
                "line 2: \"0,0118\": this comma may stand before decimals",
            ),
            (
                "Market,Currency,Utility\nIndia,USD,\"1,940\"\n",
                "line 2: \"1,940\": this comma may stand before decimals",
            ),
            ("Market,Currency,Utility\nIndia,USD,\"0,940.1\"\n", "line 2: \"0,940.1\": this comma"),
            ("Market,Currency,Utility\nIndia,USD,\"1.940,13\"\n", "line 2: \"1.940,13\""),
            ("Market,Currency,Utility\nIndia,AUD,$0.1\n", "line 2: \"$0.1\" is no amount"),
            ("Market,Currency,Utility\nIndia,USD,€0.1\n", "line 2: \"€0.1\" is no amount"),
            ("Market,Currency,Utility\nIndia,USD,-0.1\n", "line 2: \"-0.1\": no rate is negative"),
            ("Market,Currency,Utility\nIndia,USD,ask us\n", "line 2: \"ask us\" is no amount"),
            ("Market,Currency,Utility\nIndia,$,0.1\n", "line 2: \"$\" is no currency"),
            ("Market,Currency,Utility\nIndia,USD,1\nBrazil,EUR,1\n", "line 3: a rate in EUR after rates in USD"),
            ("Market,Utility\nIndia,0.1\n", "line 2: no currency"),
            ("Market,Currency,From,Utility\nIndia,USD,250.000,1\n", "line 2: \"250.000\" is no number of messages"),
            ("Market,Currency,From,Utility\nIndia,USD,,1\n", "line 2: \"\" is no number of messages"),
            ("", "no rates in it"),
            ("Market;Currency;Utility\nIndia;USD;0,1\n", "no rates in it"),
            ("Market,Currency,Utility\nIndia,USD,n/a\n", "no rates in it"),
        ];
        for (text, expected) in table {
            assert!(refused(text).starts_with(expected), "{text}: {}", refused(text));
        }
        assert!(card(b"Market,Utility\nT\xfcrkiye,1\n").unwrap_err().message().starts_with("neither UTF-8"));
        assert!(
            card(b"PK\x03\x04 and nothing more").unwrap_err().message().starts_with("a workbook that cannot be read")
        );
    }

    #[test]
    fn a_workbook_called_csv_is_read_exactly() {
        let mut book = Workbook::new();
        let rates = book.add_worksheet().set_name("Rates").unwrap();
        rates.write_row(2, 1, ["Market", "Currency", "Marketing", "Utility", "Agent"]).unwrap();
        rates.write_row(3, 1, ["India", "$US", "", "n/a", "2"]).unwrap();
        rates.write_number(3, 3, 0.0118).unwrap();
        let tiers = book.add_worksheet().set_name("Tiers").unwrap();
        tiers.write_row(0, 0, ["Market", "Currency", "From", "Marketing"]).unwrap();
        tiers.write_row(1, 0, ["India", "USD", "0", "0.0118"]).unwrap();
        tiers.write_row(2, 0, ["", "", "", ""]).unwrap();
        tiers.write_number(2, 2, 100_001.0).unwrap();
        tiers.write_number(2, 3, 0.1 * 3.0).unwrap();
        book.add_worksheet().set_name("Notes").unwrap().write(0, 0, "Nothing of use").unwrap();
        let file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
        book.save(file.path()).unwrap();

        let card = read(file.path()).unwrap();
        assert_eq!(told(&card), ["india marketing 1 0.0118", "india marketing 100001 0.30000000000000004"]);
        assert_eq!(card.unused, ["sheet \"Rates\", row 3: the column \"Agent\" is not known"]);
    }

    #[test]
    fn errors_name_the_file() {
        let error = read(Path::new("no/such/card.csv")).unwrap_err();
        assert!(error.message().starts_with("no/such/card.csv: cannot be read"), "{error}");
        assert_eq!(error.code(), csw::error::Code::Invalid);
    }
}
