//! A trading desk: agents that place orders, follow the market and report positions.
//!
//! Knows wording only; see [`super::super::grammar`] for what the words mean.

use crate::simulate::grammar::{
    AgentType,
    Give::{Field, Text},
    Hours,
    Step::{self, Call, Each, Maybe, OneOf},
    Task, Tier, Tool,
};
use crate::simulate::kind::Kind::{
    Account, Amount, Choice, Date, Email, Instrument, Note, Order, Page, Path, Query, Subject, Url,
};

/// The agent types of a trading desk.
pub static TYPES: &[AgentType] = &[
    AgentType {
        name: "order-executor",
        hours: Hours::Office,
        pace: 1.6,
        pause_secs: 2.0,
        sessions: true,
        tier: Tier::Full,
        tasks: EXECUTOR,
        tools: &[
            &GET_QUOTE,
            &LIST_POSITIONS,
            &CHECK_LIMITS,
            &PLACE_ORDER,
            &GET_ORDER,
            &CANCEL_ORDER,
            &AMEND_ORDER,
            &LIST_ORDERS,
            &READ_INSTRUCTION,
            &CONFIRM_SETTLEMENT,
            &TRANSFER_CASH,
        ],
    },
    AgentType {
        name: "market-researcher",
        hours: Hours::Service,
        pace: 1.0,
        pause_secs: 5.0,
        sessions: true,
        tier: Tier::Full,
        tasks: RESEARCHER,
        tools: &[
            &SEARCH_NEWS,
            &FETCH_PAGE,
            &GET_QUOTE,
            &GET_HISTORY,
            &GET_FILING,
            &SAVE_NOTE,
            &READ_FILE,
            &POST_BRIEFING,
            &LIST_CALENDAR,
        ],
    },
    AgentType {
        name: "portfolio-reporter",
        hours: Hours::Office,
        pace: 0.5,
        pause_secs: 4.0,
        sessions: true,
        tier: Tier::Origin,
        tasks: REPORTER,
        tools: &[
            &LIST_POSITIONS,
            &GET_HISTORY,
            &LIST_CASH_MOVES,
            &RENDER_REPORT,
            &READ_FILE,
            &WRITE_FILE,
            &SEND_REPORT,
            &LIST_RECIPIENTS,
            &ARCHIVE_REPORT,
        ],
    },
];

static GET_QUOTE: Tool = Tool::read("get_quote")
    .takes(&[("symbol", Instrument)])
    .of(Instrument)
    .gives(&[Field(Amount)])
    .bytes(340.0);
static LIST_POSITIONS: Tool = Tool::read("list_positions")
    .takes(&[("account", Account), ("as_of", Date)])
    .of(Account)
    .gives(&[Field(Instrument)])
    .bytes(5_200.0);
static CHECK_LIMITS: Tool =
    Tool::read("check_limits").takes(&[("account", Account), ("notional", Amount)]).of(Account).bytes(280.0);
static PLACE_ORDER: Tool = Tool::commit("place_order")
    .takes(&[("symbol", Instrument), ("side", Choice), ("quantity", Amount), ("account", Account)])
    .of(Instrument)
    .gives(&[Field(Order)])
    .fails(0.03, 0.02);
static GET_ORDER: Tool = Tool::read("get_order").takes(&[("order_id", Order)]).of(Order).bytes(620.0);
static CANCEL_ORDER: Tool =
    Tool::commit("cancel_order").takes(&[("order_id", Order)]).of(Order).fails(0.06, 0.01);
static AMEND_ORDER: Tool = Tool::write("amend_order")
    .takes(&[("order_id", Order), ("quantity", Amount), ("limit_price", Amount)])
    .of(Order)
    .fails(0.05, 0.01);
static LIST_ORDERS: Tool = Tool::read("list_orders")
    .takes(&[("account", Account), ("page", Page)])
    .of(Account)
    .gives(&[Field(Order)])
    .bytes(6_800.0);
static READ_INSTRUCTION: Tool = Tool::read("read_client_instruction")
    .takes(&[("mailbox", Email)])
    .of(Email)
    .gives(&[Text(Instrument), Text(Amount), Text(Account)])
    .bytes(2_100.0);
static CONFIRM_SETTLEMENT: Tool =
    Tool::write("confirm_settlement").takes(&[("order_id", Order), ("value_date", Date)]).of(Order);
static TRANSFER_CASH: Tool = Tool::commit("transfer_cash")
    .takes(&[("destination_account", Account), ("amount", Amount), ("reference", Subject)])
    .of(Account)
    .fails(0.02, 0.03);
static PREVIEW_IMPACT: Tool = Tool::read("preview_market_impact")
    .takes(&[("symbol", Instrument), ("quantity", Amount)])
    .of(Instrument)
    .bytes(900.0);

static SEARCH_NEWS: Tool = Tool::read("search_news")
    .takes(&[("query", Query), ("since", Date)])
    .system("news")
    .gives(&[Field(Url)])
    .bytes(9_000.0);
static FETCH_PAGE: Tool = Tool::read("fetch_page")
    .takes(&[("url", Url)])
    .of(Url)
    .gives(&[Text(Url), Text(Instrument), Text(Query)])
    .bytes(24_000.0)
    .fails(0.07, 0.01);
static GET_HISTORY: Tool = Tool::read("get_price_history")
    .takes(&[("symbol", Instrument), ("from", Date), ("to", Date)])
    .of(Instrument)
    .bytes(18_000.0);
static GET_FILING: Tool = Tool::read("get_company_filing")
    .takes(&[("symbol", Instrument), ("year", Date)])
    .of(Instrument)
    .gives(&[Text(Url), Text(Amount)])
    .bytes(60_000.0);
static SAVE_NOTE: Tool = Tool::write("save_note").takes(&[("path", Path), ("content", Note)]).of(Path);
static READ_FILE: Tool = Tool::read("read_file")
    .takes(&[("path", Path)])
    .of(Path)
    .gives(&[Text(Email), Text(Query)])
    .bytes(7_000.0);
static POST_BRIEFING: Tool = Tool::commit("post_briefing")
    .takes(&[("channel", Choice), ("title", Subject), ("body", Note)])
    .system("chat");
static LIST_CALENDAR: Tool = Tool::read("list_market_calendar")
    .takes(&[("from", Date), ("to", Date)])
    .system("calendar")
    .gives(&[Field(Instrument), Field(Date)])
    .bytes(2_600.0);
static COMPARE_PEERS: Tool = Tool::read("compare_peers")
    .takes(&[("symbol", Instrument), ("metric", Choice)])
    .of(Instrument)
    .bytes(3_300.0);

static LIST_CASH_MOVES: Tool = Tool::read("list_cash_movements")
    .takes(&[("account", Account), ("from", Date), ("page", Page)])
    .of(Account)
    .gives(&[Field(Amount), Text(Account)])
    .bytes(8_500.0);
static RENDER_REPORT: Tool = Tool::write("render_report")
    .takes(&[("template", Path), ("period", Date)])
    .of(Path)
    .gives(&[Field(Path)])
    .bytes(40_000.0)
    .fails(0.05, 0.0);
static WRITE_FILE: Tool = Tool::write("write_file").takes(&[("path", Path), ("content", Note)]).of(Path);
static SEND_REPORT: Tool = Tool::commit("send_report")
    .takes(&[("recipients", Email), ("subject", Subject), ("attachment", Path), ("message", Note)])
    .of(Email);
static LIST_RECIPIENTS: Tool = Tool::read("list_recipients")
    .takes(&[("mailing", Choice)])
    .system("mailing")
    .gives(&[Field(Email)])
    .bytes(1_100.0);
static ARCHIVE_REPORT: Tool =
    Tool::write("archive_report").takes(&[("path", Path), ("retain_until", Date)]).of(Path);
static TRANSLATE_REPORT: Tool = Tool::write("translate_report")
    .takes(&[("path", Path), ("language", Choice)])
    .of(Path)
    .gives(&[Field(Path)])
    .bytes(42_000.0);

/// Look at an instrument, check the room, order, look what became of it.
const BUY_ONE: &[Step] = &[
    Call(&GET_QUOTE),
    Maybe(0.8, &[Call(&CHECK_LIMITS)]),
    Call(&PLACE_ORDER),
    Step::Some(1.8, &[Call(&GET_ORDER)]),
];

static EXECUTOR: &[Task] = &[
    Task::new("execute-order", 6.0, BUY_ONE),
    Task::new("rebalance", 2.0, &[Call(&LIST_POSITIONS), Each(Instrument, 5.0, BUY_ONE)]),
    Task::new(
        "work-large-order",
        1.5,
        &[
            Call(&GET_QUOTE),
            Call(&PLACE_ORDER),
            Step::Some(
                6.0,
                &[Call(&GET_ORDER), Maybe(0.5, &[Call(&GET_QUOTE)]), Maybe(0.4, &[Call(&AMEND_ORDER)])],
            ),
        ],
    ),
    Task::new(
        "clean-up-open-orders",
        1.0,
        &[
            Call(&LIST_ORDERS),
            Each(
                Order,
                4.0,
                &[
                    Call(&GET_ORDER),
                    OneOf(&[(3.0, &[Call(&CANCEL_ORDER)]), (2.0, &[Call(&AMEND_ORDER)]), (2.0, &[])]),
                ],
            ),
        ],
    ),
    Task::new(
        "client-instruction",
        1.2,
        &[
            Call(&READ_INSTRUCTION),
            Maybe(0.6, &[Call(&GET_QUOTE)]),
            Call(&CHECK_LIMITS),
            OneOf(&[(4.0, &[Call(&PLACE_ORDER), Call(&GET_ORDER)]), (1.0, &[Call(&TRANSFER_CASH)])]),
        ],
    )
    .trusting(),
    Task::new("settle", 1.5, &[Call(&LIST_ORDERS), Each(Order, 6.0, &[Call(&CONFIRM_SETTLEMENT)])]),
    Task::new(
        "fund-account",
        0.5,
        &[Call(&CHECK_LIMITS), Call(&TRANSFER_CASH), Maybe(0.5, &[Call(&LIST_POSITIONS)])],
    ),
    Task::new(
        "order-with-preview",
        2.0,
        &[Call(&GET_QUOTE), Call(&PREVIEW_IMPACT), Call(&PLACE_ORDER), Call(&GET_ORDER)],
    )
    .released(),
];

static RESEARCHER: &[Task] = &[
    Task::new(
        "news-round",
        4.0,
        &[Call(&SEARCH_NEWS), Each(Url, 4.0, &[Call(&FETCH_PAGE)]), Maybe(0.7, &[Call(&SAVE_NOTE)])],
    ),
    Task::new(
        "company-profile",
        2.0,
        &[
            Call(&GET_QUOTE),
            Step::Some(2.0, &[Call(&GET_FILING)]),
            Call(&GET_HISTORY),
            Maybe(0.6, &[Call(&SEARCH_NEWS), Each(Url, 2.0, &[Call(&FETCH_PAGE)])]),
            Call(&SAVE_NOTE),
        ],
    ),
    Task::new(
        "follow-links",
        1.0,
        &[Call(&FETCH_PAGE), Each(Url, 5.0, &[Call(&FETCH_PAGE)]), Call(&SAVE_NOTE)],
    )
    .trusting(),
    Task::new(
        "morning-briefing",
        1.5,
        &[
            Call(&LIST_CALENDAR),
            Each(Instrument, 6.0, &[Call(&GET_QUOTE), Maybe(0.3, &[Call(&GET_HISTORY)])]),
            Call(&SEARCH_NEWS),
            Call(&POST_BRIEFING),
        ],
    ),
    Task::new(
        "price-study",
        1.0,
        &[Each(Instrument, 8.0, &[Call(&GET_HISTORY)]), Maybe(0.5, &[Call(&SAVE_NOTE)])],
    ),
    Task::new(
        "update-note",
        1.5,
        &[Call(&READ_FILE), Maybe(0.7, &[Call(&SEARCH_NEWS), Call(&FETCH_PAGE)]), Call(&SAVE_NOTE)],
    ),
    Task::new(
        "peer-comparison",
        1.5,
        &[Call(&GET_QUOTE), Each(Instrument, 3.0, &[Call(&COMPARE_PEERS)]), Call(&SAVE_NOTE)],
    )
    .released(),
];

static REPORTER: &[Task] = &[
    Task::new(
        "daily-report",
        5.0,
        &[
            Call(&LIST_POSITIONS),
            Call(&LIST_CASH_MOVES),
            Call(&RENDER_REPORT),
            Call(&LIST_RECIPIENTS),
            Each(Email, 2.0, &[Call(&SEND_REPORT)]),
            Call(&ARCHIVE_REPORT),
        ],
    ),
    Task::new(
        "answer-client",
        2.0,
        &[Call(&LIST_POSITIONS), Maybe(0.5, &[Call(&GET_HISTORY)]), Call(&SEND_REPORT)],
    ),
    Task::new(
        "performance-study",
        1.0,
        &[Call(&LIST_POSITIONS), Each(Instrument, 7.0, &[Call(&GET_HISTORY)]), Call(&WRITE_FILE)],
    ),
    Task::new("reconcile-cash", 1.5, &[Step::Some(4.0, &[Call(&LIST_CASH_MOVES)]), Call(&WRITE_FILE)]),
    Task::new(
        "revise-report",
        1.0,
        &[Call(&READ_FILE), Call(&RENDER_REPORT), Maybe(0.6, &[Call(&SEND_REPORT)])],
    ),
    Task::new("forward-as-noted", 0.6, &[Call(&READ_FILE), Call(&SEND_REPORT)]).trusting(),
    Task::new(
        "translated-report",
        1.2,
        &[Call(&LIST_POSITIONS), Call(&RENDER_REPORT), Call(&TRANSLATE_REPORT), Call(&SEND_REPORT)],
    )
    .released(),
];
