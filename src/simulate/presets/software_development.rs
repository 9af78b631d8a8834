//! A software house: agents that review changes and repair builds.
//!
//! Knows wording only; see [`super::super::grammar`] for what the words mean.

use crate::simulate::grammar::{
    AgentType,
    Give::{Field, Text},
    Hours,
    Step::{Call, Each, Maybe, OneOf, Some},
    Task, Tier, Tool,
};
use crate::simulate::kind::Kind::{
    Choice, Command, Date, Email, Note, Package, Page, Path, Query, Repo, Subject, Ticket, Url, User,
};

/// The agent types of a software house.
pub static TYPES: &[AgentType] = &[
    AgentType {
        name: "code-reviewer",
        hours: Hours::Service,
        pace: 1.4,
        pause_secs: 3.0,
        sessions: true,
        tier: Tier::Full,
        tasks: REVIEWER,
        tools: &[
            &LIST_CHANGES,
            &GET_CHANGE,
            &READ_FILE,
            &SEARCH_CODE,
            &GET_ISSUE,
            &COMMENT_CHANGE,
            &APPROVE_CHANGE,
            &MERGE_CHANGE,
            &OPEN_LINK,
            &ASSIGN_REVIEWER,
        ],
    },
    AgentType {
        name: "build-doctor",
        hours: Hours::Always,
        pace: 1.0,
        pause_secs: 2.5,
        sessions: true,
        tier: Tier::Full,
        tasks: DOCTOR,
        tools: &[
            &LIST_BUILDS,
            &GET_BUILD_LOG,
            &READ_FILE,
            &SEARCH_CODE,
            &EDIT_FILE,
            &RUN_TESTS,
            &GET_PACKAGE,
            &BUMP_PACKAGE,
            &PUSH_BRANCH,
            &NOTIFY_OWNER,
        ],
    },
];

static LIST_CHANGES: Tool = Tool::read("list_pull_requests")
    .takes(&[("repo", Repo), ("page", Page)])
    .of(Repo)
    .gives(&[Field(Ticket), Field(User)])
    .bytes(6_500.0);
static GET_CHANGE: Tool = Tool::read("get_pull_request")
    .takes(&[("repo", Repo), ("number", Ticket)])
    .of(Repo)
    .gives(&[Field(Path), Field(User), Text(Url), Text(Ticket)])
    .bytes(22_000.0);
static READ_FILE: Tool = Tool::read("read_repository_file")
    .takes(&[("path", Path), ("ref", Choice)])
    .of(Path)
    .gives(&[Text(Path), Text(Query), Text(Package)])
    .bytes(11_000.0);
static SEARCH_CODE: Tool = Tool::read("search_code")
    .takes(&[("query", Query), ("repo", Repo)])
    .of(Repo)
    .gives(&[Field(Path)])
    .bytes(7_000.0);
static GET_ISSUE: Tool = Tool::read("get_issue")
    .takes(&[("number", Ticket)])
    .of(Ticket)
    .gives(&[Text(Path), Text(Url), Text(User), Text(Email), Text(Package)])
    .bytes(3_800.0);
static COMMENT_CHANGE: Tool =
    Tool::write("comment_on_pull_request").takes(&[("number", Ticket), ("body", Note)]).of(Ticket);
static APPROVE_CHANGE: Tool = Tool::commit("approve_pull_request")
    .takes(&[("number", Ticket), ("summary", Subject)])
    .of(Ticket)
    .fails(0.02, 0.03);
static MERGE_CHANGE: Tool = Tool::commit("merge_pull_request")
    .takes(&[("repo", Repo), ("number", Ticket)])
    .of(Repo)
    .fails(0.06, 0.04);
static OPEN_LINK: Tool = Tool::read("open_link")
    .takes(&[("url", Url)])
    .of(Url)
    .gives(&[Text(Url), Text(Path)])
    .bytes(26_000.0)
    .fails(0.08, 0.01);
static ASSIGN_REVIEWER: Tool =
    Tool::write("assign_reviewer").takes(&[("number", Ticket), ("user", User)]).of(Ticket);
static SUGGEST_CHANGE: Tool =
    Tool::write("suggest_change").takes(&[("path", Path), ("patch", Note)]).of(Path);

static LIST_BUILDS: Tool = Tool::read("list_builds")
    .takes(&[("repo", Repo), ("since", Date)])
    .of(Repo)
    .gives(&[Field(Ticket), Field(Path)])
    .bytes(4_400.0);
static GET_BUILD_LOG: Tool = Tool::read("get_build_log")
    .takes(&[("build", Ticket), ("page", Page)])
    .of(Ticket)
    .gives(&[Text(Path), Text(Package), Text(Command), Text(Url)])
    .bytes(48_000.0);
static EDIT_FILE: Tool =
    Tool::write("edit_file").takes(&[("path", Path), ("content", Note)]).of(Path).fails(0.03, 0.01);
static RUN_TESTS: Tool = Tool::write("run_tests")
    .takes(&[("repo", Repo), ("command", Command)])
    .of(Repo)
    .gives(&[Text(Path)])
    .bytes(9_000.0)
    .fails(0.15, 0.002);
static GET_PACKAGE: Tool = Tool::read("get_package_versions")
    .takes(&[("package", Package)])
    .of(Package)
    .gives(&[Field(Package), Field(Url)])
    .bytes(2_700.0);
static BUMP_PACKAGE: Tool =
    Tool::write("bump_dependency").takes(&[("package", Package), ("version", Choice)]).of(Package);
static PUSH_BRANCH: Tool =
    Tool::commit("push_branch").takes(&[("repo", Repo), ("branch", Subject)]).of(Repo).fails(0.04, 0.02);
static NOTIFY_OWNER: Tool = Tool::commit("notify_owner").takes(&[("user", User), ("message", Note)]).of(User);
static BISECT: Tool = Tool::read("bisect_history")
    .takes(&[("repo", Repo), ("test", Path)])
    .of(Repo)
    .gives(&[Field(Ticket), Field(User)])
    .bytes(3_000.0);

static REVIEWER: &[Task] = &[
    Task::new(
        "review-change",
        6.0,
        &[
            Call(&GET_CHANGE),
            Each(Path, 3.0, &[Call(&READ_FILE)]),
            Maybe(0.4, &[Call(&SEARCH_CODE)]),
            Some(1.6, &[Call(&COMMENT_CHANGE)]),
            Maybe(0.5, &[Call(&APPROVE_CHANGE)]),
        ],
    ),
    Task::new(
        "merge-queue",
        2.0,
        &[Call(&LIST_CHANGES), Each(Ticket, 3.0, &[Call(&GET_CHANGE), Maybe(0.6, &[Call(&MERGE_CHANGE)])])],
    ),
    Task::new(
        "triage-issue",
        2.0,
        &[Call(&GET_ISSUE), Call(&SEARCH_CODE), Maybe(0.5, &[Call(&READ_FILE)]), Call(&ASSIGN_REVIEWER)],
    ),
    Task::new(
        "explain-code",
        1.5,
        &[Call(&SEARCH_CODE), Some(3.0, &[Call(&READ_FILE)]), Maybe(0.3, &[Call(&COMMENT_CHANGE)])],
    ),
    Task::new(
        "follow-discussion",
        1.0,
        &[
            Call(&GET_ISSUE),
            Each(Url, 2.0, &[Call(&OPEN_LINK)]),
            OneOf(&[(2.0, &[Call(&COMMENT_CHANGE)]), (1.0, &[Call(&ASSIGN_REVIEWER)])]),
        ],
    )
    .trusting(),
    Task::new("hand-over", 0.8, &[Call(&LIST_CHANGES), Each(Ticket, 4.0, &[Call(&ASSIGN_REVIEWER)])]),
    Task::new(
        "suggest-fix",
        1.5,
        &[Call(&GET_CHANGE), Call(&READ_FILE), Some(1.5, &[Call(&SUGGEST_CHANGE)]), Call(&COMMENT_CHANGE)],
    )
    .released(),
];

static DOCTOR: &[Task] = &[
    Task::new(
        "repair-build",
        5.0,
        &[
            Call(&LIST_BUILDS),
            Call(&GET_BUILD_LOG),
            Each(Path, 2.0, &[Call(&READ_FILE), Maybe(0.6, &[Call(&EDIT_FILE)])]),
            Some(2.2, &[Call(&RUN_TESTS)]),
            Maybe(0.7, &[Call(&PUSH_BRANCH)]),
        ],
    ),
    Task::new(
        "flaky-test",
        2.0,
        &[
            Call(&GET_BUILD_LOG),
            Call(&READ_FILE),
            Some(5.0, &[Call(&RUN_TESTS)]),
            OneOf(&[(2.0, &[Call(&EDIT_FILE), Call(&PUSH_BRANCH)]), (1.0, &[Call(&NOTIFY_OWNER)])]),
        ],
    ),
    Task::new(
        "update-dependencies",
        1.5,
        &[
            Call(&READ_FILE),
            Each(Package, 4.0, &[Call(&GET_PACKAGE), Maybe(0.5, &[Call(&BUMP_PACKAGE)])]),
            Call(&RUN_TESTS),
            Maybe(0.8, &[Call(&PUSH_BRANCH)]),
        ],
    ),
    Task::new("watch-builds", 2.5, &[Call(&LIST_BUILDS), Each(Ticket, 2.0, &[Call(&GET_BUILD_LOG)])]),
    Task::new(
        "do-as-the-log-says",
        0.7,
        &[Call(&GET_BUILD_LOG), Some(2.0, &[Call(&RUN_TESTS)]), Maybe(0.4, &[Call(&BUMP_PACKAGE)])],
    )
    .trusting(),
    Task::new(
        "search-cause",
        1.0,
        &[Call(&SEARCH_CODE), Some(4.0, &[Call(&READ_FILE)]), Call(&NOTIFY_OWNER)],
    ),
    Task::new(
        "bisect",
        1.0,
        &[Call(&GET_BUILD_LOG), Some(3.0, &[Call(&BISECT), Call(&RUN_TESTS)]), Call(&NOTIFY_OWNER)],
    )
    .released(),
];
