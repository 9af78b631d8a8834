//! System administration: agents that patch machines, respond to incidents and review access.
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
    Choice, Command, Date, Email, Host, Key, Note, Package, Page, Path, Query, Repo, Role, Service, Subject,
    Ticket, Url, User,
};

/// The agent types of a system administration.
pub static TYPES: &[AgentType] = &[
    AgentType {
        name: "patcher",
        hours: Hours::Night,
        pace: 0.7,
        pause_secs: 8.0,
        sessions: true,
        tier: Tier::Full,
        tasks: PATCHER,
        tools: &[
            &LIST_HOSTS,
            &LIST_UPDATES,
            &INSTALL_PACKAGE,
            &RESTART_SERVICE,
            &CHECK_SERVICE,
            &READ_ADVISORY,
            &DOWNLOAD_FILE,
            &ROLL_BACK,
            &OPEN_PULL_REQUEST,
            &READ_REPO_FILE,
            &REMOVE_PACKAGE,
        ],
    },
    AgentType {
        name: "incident-responder",
        hours: Hours::Always,
        pace: 0.9,
        pause_secs: 4.0,
        sessions: true,
        tier: Tier::Full,
        tasks: RESPONDER,
        tools: &[
            &GET_ALERT,
            &QUERY_LOGS,
            &GET_METRICS,
            &CHECK_SERVICE,
            &RESTART_SERVICE,
            &RUN_COMMAND,
            &SCALE_SERVICE,
            &READ_RUNBOOK,
            &NOTIFY,
            &COMMENT_INCIDENT,
            &READ_CONFIG,
        ],
    },
    AgentType {
        name: "access-reviewer",
        hours: Hours::Office,
        pace: 0.5,
        pause_secs: 5.0,
        sessions: true,
        tier: Tier::Origin,
        tasks: REVIEWER,
        tools: &[
            &LIST_USERS,
            &GET_USER,
            &LIST_GRANTS,
            &LIST_SIGN_INS,
            &REVOKE_GRANT,
            &GRANT_ROLE,
            &READ_REQUEST,
            &NOTIFY,
            &WRITE_REPORT,
            &ROTATE_KEY,
            &DECIDE_REQUEST,
        ],
    },
];

static LIST_HOSTS: Tool = Tool::read("list_hosts")
    .takes(&[("environment", Choice), ("page", Page)])
    .system("inventory")
    .gives(&[Field(Host), Field(Service)])
    .bytes(9_500.0);
static LIST_UPDATES: Tool = Tool::read("list_pending_updates")
    .takes(&[("host", Host)])
    .of(Host)
    .gives(&[Field(Package)])
    .bytes(3_000.0);
static INSTALL_PACKAGE: Tool = Tool::write("install_package")
    .takes(&[("host", Host), ("package", Package), ("version", Choice)])
    .of(Host)
    .fails(0.06, 0.01)
    .bytes(5_000.0);
static RESTART_SERVICE: Tool = Tool::commit("restart_service")
    .takes(&[("service", Service), ("host", Host)])
    .of(Service)
    .fails(0.04, 0.01);
static CHECK_SERVICE: Tool = Tool::read("check_service_health")
    .takes(&[("service", Service)])
    .of(Service)
    .bytes(450.0)
    .fails(0.05, 0.0);
static READ_ADVISORY: Tool = Tool::read("read_security_advisory")
    .takes(&[("url", Url)])
    .of(Url)
    .gives(&[Text(Package), Text(Url), Text(Command)])
    .bytes(14_000.0);
static DOWNLOAD_FILE: Tool = Tool::write("download_file")
    .takes(&[("url", Url), ("path", Path)])
    .of(Url)
    .bytes(200_000.0)
    .fails(0.05, 0.01);
static ROLL_BACK: Tool =
    Tool::commit("roll_back_update").takes(&[("host", Host), ("package", Package)]).of(Host);
static OPEN_PULL_REQUEST: Tool = Tool::write("open_pull_request")
    .takes(&[("repository", Repo), ("title", Subject), ("body", Note)])
    .of(Repo);
static READ_REPO_FILE: Tool = Tool::read("read_repository_file")
    .takes(&[("repository", Repo), ("path", Path)])
    .of(Repo)
    .gives(&[Text(Package)])
    .bytes(4_000.0);
static REMOVE_PACKAGE: Tool =
    Tool::commit("remove_package").takes(&[("host", Host), ("package", Package)]).of(Host);
static SNAPSHOT_HOST: Tool = Tool::write("snapshot_host").takes(&[("host", Host)]).of(Host).bytes(300.0);

static GET_ALERT: Tool = Tool::read("get_alert_details")
    .takes(&[("alert_id", Ticket)])
    .of(Ticket)
    .gives(&[Field(Service), Field(Host), Text(Url), Text(Query)])
    .bytes(2_200.0);
static QUERY_LOGS: Tool = Tool::read("query_logs")
    .takes(&[("service", Service), ("query", Query), ("since", Date)])
    .of(Service)
    .gives(&[Text(Host), Text(Path)])
    .bytes(35_000.0);
static GET_METRICS: Tool =
    Tool::read("get_metrics").takes(&[("service", Service), ("range", Date)]).of(Service).bytes(11_000.0);
static RUN_COMMAND: Tool = Tool::write("run_command")
    .takes(&[("host", Host), ("command", Command)])
    .of(Host)
    .bytes(1_800.0)
    .fails(0.08, 0.02);
static SCALE_SERVICE: Tool =
    Tool::write("scale_service").takes(&[("service", Service), ("replicas", Page)]).of(Service);
static READ_RUNBOOK: Tool = Tool::read("read_runbook")
    .takes(&[("path", Path)])
    .of(Path)
    .gives(&[Text(Command), Text(Service), Text(Email)])
    .bytes(6_500.0);
static NOTIFY: Tool =
    Tool::commit("notify_owner").takes(&[("recipient", Email), ("message", Note)]).of(Email);
static COMMENT_INCIDENT: Tool =
    Tool::write("comment_on_incident").takes(&[("incident_id", Ticket), ("comment", Note)]).of(Ticket);
static READ_CONFIG: Tool = Tool::read("read_config")
    .takes(&[("path", Path)])
    .of(Path)
    .gives(&[Field(Host), Text(Url)])
    .bytes(2_600.0)
    .fails(0.02, 0.02);
static TRACE_REQUEST: Tool = Tool::read("trace_request")
    .takes(&[("service", Service), ("trace_id", Query)])
    .of(Service)
    .gives(&[Field(Service)])
    .bytes(16_000.0);

static LIST_USERS: Tool = Tool::read("list_users")
    .takes(&[("department", Choice), ("page", Page)])
    .system("directory")
    .gives(&[Field(User)])
    .bytes(10_000.0);
static GET_USER: Tool =
    Tool::read("get_user").takes(&[("user", User)]).of(User).gives(&[Field(Email), Field(Role)]).bytes(900.0);
static LIST_GRANTS: Tool =
    Tool::read("list_grants").takes(&[("user", User)]).of(User).gives(&[Field(Role)]).bytes(2_300.0);
static LIST_SIGN_INS: Tool =
    Tool::read("list_sign_ins").takes(&[("user", User), ("since", Date)]).of(User).bytes(4_600.0);
static REVOKE_GRANT: Tool =
    Tool::commit("revoke_grant").takes(&[("role", Role), ("user", User)]).of(Role).fails(0.02, 0.03);
static GRANT_ROLE: Tool =
    Tool::commit("grant_role").takes(&[("role", Role), ("user", User)]).of(Role).fails(0.02, 0.05);
static READ_REQUEST: Tool = Tool::read("read_access_request")
    .takes(&[("request_id", Ticket)])
    .of(Ticket)
    .gives(&[Field(User), Text(Role), Text(Email)])
    .bytes(1_700.0);
static WRITE_REPORT: Tool =
    Tool::write("write_review_report").takes(&[("path", Path), ("content", Note)]).of(Path);
static ROTATE_KEY: Tool = Tool::write("rotate_key").takes(&[("key_id", Key), ("user", User)]).of(Key);
static DECIDE_REQUEST: Tool = Tool::write("decide_access_request")
    .takes(&[("request_id", Ticket), ("reason", Choice)])
    .of(Ticket)
    .decides(&["grant", "refuse", "ask_manager"]);
static EXPLAIN_ACCESS: Tool =
    Tool::read("explain_effective_access").takes(&[("user", User), ("role", Role)]).of(User).bytes(3_100.0);

static PATCHER: &[Task] = &[
    Task::new(
        "patch-environment",
        4.0,
        &[
            Call(&LIST_HOSTS),
            Each(
                Host,
                6.0,
                &[
                    Call(&LIST_UPDATES),
                    Some(2.0, &[Call(&INSTALL_PACKAGE)]),
                    Maybe(0.6, &[Call(&RESTART_SERVICE), Call(&CHECK_SERVICE)]),
                ],
            ),
        ],
    ),
    Task::new(
        "patch-one-host",
        3.0,
        &[
            Call(&LIST_UPDATES),
            Each(Package, 3.0, &[Call(&INSTALL_PACKAGE)]),
            Maybe(0.7, &[Call(&RESTART_SERVICE)]),
            Call(&CHECK_SERVICE),
        ],
    ),
    Task::new(
        "follow-advisory",
        1.2,
        &[
            Call(&READ_ADVISORY),
            Maybe(0.5, &[Call(&DOWNLOAD_FILE)]),
            Call(&LIST_HOSTS),
            Each(Host, 3.0, &[OneOf(&[(3.0, &[Call(&INSTALL_PACKAGE)]), (1.0, &[Call(&REMOVE_PACKAGE)])])]),
        ],
    )
    .trusting(),
    Task::new(
        "roll-back",
        0.6,
        &[Call(&CHECK_SERVICE), Call(&ROLL_BACK), Call(&RESTART_SERVICE), Some(2.0, &[Call(&CHECK_SERVICE)])],
    ),
    Task::new("inventory", 1.5, &[Some(3.0, &[Call(&LIST_HOSTS)]), Each(Host, 10.0, &[Call(&LIST_UPDATES)])]),
    Task::new(
        "bump-dependency",
        1.0,
        &[Some(2.0, &[Call(&READ_REPO_FILE)]), Maybe(0.3, &[Call(&READ_ADVISORY)]), Call(&OPEN_PULL_REQUEST)],
    ),
    Task::new(
        "retire-package",
        0.5,
        &[Call(&LIST_HOSTS), Each(Host, 4.0, &[Call(&REMOVE_PACKAGE), Call(&CHECK_SERVICE)])],
    ),
    Task::new(
        "patch-with-snapshot",
        2.5,
        &[
            Call(&LIST_UPDATES),
            Call(&SNAPSHOT_HOST),
            Each(Package, 2.0, &[Call(&INSTALL_PACKAGE)]),
            Call(&CHECK_SERVICE),
        ],
    )
    .released(),
];

static RESPONDER: &[Task] = &[
    Task::new(
        "triage",
        5.0,
        &[
            Call(&GET_ALERT),
            Some(
                2.5,
                &[OneOf(&[
                    (3.0, &[Call(&QUERY_LOGS)]),
                    (2.0, &[Call(&GET_METRICS)]),
                    (1.0, &[Call(&CHECK_SERVICE)]),
                ])],
            ),
            Call(&COMMENT_INCIDENT),
        ],
    ),
    Task::new(
        "repair",
        2.0,
        &[
            Call(&GET_ALERT),
            Call(&GET_METRICS),
            OneOf(&[
                (3.0, &[Call(&RESTART_SERVICE)]),
                (2.0, &[Call(&SCALE_SERVICE)]),
                (2.0, &[Call(&RUN_COMMAND)]),
            ]),
            Some(3.0, &[Call(&CHECK_SERVICE)]),
            Call(&COMMENT_INCIDENT),
        ],
    ),
    Task::new(
        "follow-runbook",
        1.2,
        &[
            Call(&GET_ALERT),
            Call(&READ_RUNBOOK),
            Some(3.0, &[Call(&RUN_COMMAND)]),
            Maybe(0.5, &[Call(&NOTIFY)]),
            Call(&COMMENT_INCIDENT),
        ],
    )
    .trusting(),
    Task::new(
        "deep-search",
        1.0,
        &[Some(12.0, &[Call(&QUERY_LOGS)]), Maybe(0.5, &[Call(&READ_CONFIG)]), Call(&COMMENT_INCIDENT)],
    ),
    Task::new(
        "watch-after-release",
        1.0,
        &[Some(15.0, &[Call(&GET_METRICS), Maybe(0.4, &[Call(&CHECK_SERVICE)])])],
    ),
    Task::new("tell-owner", 1.0, &[Call(&GET_ALERT), Maybe(0.6, &[Call(&QUERY_LOGS)]), Call(&NOTIFY)]),
    Task::new("inspect-hosts", 0.8, &[Call(&READ_CONFIG), Each(Host, 4.0, &[Call(&RUN_COMMAND)])]),
    Task::new(
        "trace-slow-request",
        1.8,
        &[
            Call(&GET_ALERT),
            Some(2.0, &[Call(&TRACE_REQUEST)]),
            Maybe(0.5, &[Call(&QUERY_LOGS)]),
            Call(&COMMENT_INCIDENT),
        ],
    )
    .released(),
];

static REVIEWER: &[Task] = &[
    Task::new(
        "review-department",
        3.0,
        &[
            Call(&LIST_USERS),
            Each(
                User,
                7.0,
                &[
                    Call(&LIST_GRANTS),
                    Maybe(0.5, &[Call(&LIST_SIGN_INS)]),
                    Maybe(0.2, &[Call(&REVOKE_GRANT)]),
                ],
            ),
            Call(&WRITE_REPORT),
        ],
    ),
    Task::new(
        "access-request",
        4.0,
        &[
            Call(&READ_REQUEST),
            Call(&GET_USER),
            Maybe(0.7, &[Call(&LIST_GRANTS)]),
            Call(&DECIDE_REQUEST),
            Maybe(0.6, &[Call(&GRANT_ROLE)]),
            Maybe(0.5, &[Call(&NOTIFY)]),
        ],
    )
    .trusting(),
    Task::new(
        "leaver",
        1.0,
        &[
            Call(&GET_USER),
            Call(&LIST_GRANTS),
            Each(Role, 3.0, &[Call(&REVOKE_GRANT)]),
            Maybe(0.5, &[Call(&ROTATE_KEY)]),
        ],
    ),
    Task::new("joiner", 1.0, &[Call(&GET_USER), Some(2.0, &[Call(&GRANT_ROLE)]), Call(&NOTIFY)]),
    Task::new(
        "dormant-accounts",
        1.0,
        &[Some(3.0, &[Call(&LIST_USERS)]), Each(User, 9.0, &[Call(&LIST_SIGN_INS)]), Call(&WRITE_REPORT)],
    ),
    Task::new("rotate-keys", 0.6, &[Each(Key, 4.0, &[Call(&ROTATE_KEY)]), Call(&NOTIFY)]),
    Task::new("explain-access", 1.5, &[Call(&GET_USER), Call(&EXPLAIN_ACCESS), Maybe(0.5, &[Call(&NOTIFY)])])
        .released(),
];
