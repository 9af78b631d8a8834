"""Masking, ranks and truth of the CloudTrail exercise, on made-up records."""

import json
import tempfile
import unittest
from pathlib import Path

import cloudtrail as script
from evaluation import cloudtrail

PATHS = ["userIdentity.sessionContext.sessionIssuer.arn", "userIdentity.arn", "sourceIPAddress"]


def record(arn, agent="cli"):
    return cloudtrail.masked(json.dumps({"userIdentity": {"arn": arn}, "userAgent": agent, "sourceIPAddress": "192.0.2.1",
                                         "requestParameters": {"roleName": "stratus-red-team-role"}}), PATHS)


class CloudTrail(unittest.TestCase):
    def test_nothing_of_the_label_is_left_in_the_record(self):
        masked = record("arn:role/stratus-red-team-y", "stratus-red-team_run-1")
        self.assertEqual((masked.principal, masked.span), ("arn:role/x-y", "run-1"))
        self.assertNotIn("stratus", masked.line)
        self.assertNotIn("run-1", masked.line)
        self.assertEqual(json.loads(masked.line)["requestParameters"]["roleName"], "x-role")
        self.assertIsNone(record("arn:user/a", "stratus-red-team-like").span)

    def test_the_principal_is_the_first_that_is_there(self):
        self.assertEqual(record("arn:user/a").principal, "arn:user/a")
        self.assertEqual(record("").principal, "192.0.2.1")
        self.assertEqual(record(None).principal, "192.0.2.1")
        with self.assertRaises(ValueError):
            cloudtrail.principal({}, PATHS)

    def test_ranks_follow_the_score_then_p_and_equals_share(self):
        ranks = cloudtrail.ranks({"a": (0, 0.5), "b": (0, 0.01), "c": (9, 1.0), "d": (0, 0.5)})
        self.assertEqual(ranks, {"c": 1, "b": 2, "a": 3.5, "d": 3.5})
        self.assertEqual(cloudtrail.auc(ranks, {"c", "a"}), (2 + 0.5) / 4)
        self.assertEqual(cloudtrail.auc(ranks, {"c", "b"}), 1.0)

    def test_spans_take_the_best_rank_of_their_principals_and_its_median(self):
        known = cloudtrail.truth([record("a", "stratus-red-team_1"), record("b", "stratus-red-team_1"), record("a"),
                                  record("b", "stratus-red-team_2")])
        self.assertEqual((known.calls, known.attacks), ({"a": 2, "b": 2}, {"a": 1, "b": 2}))
        found = cloudtrail.spans(known, [{"a": 1, "b": 2}, {"a": 2, "b": 1}])
        self.assertEqual([(span.id, span.calls, span.rank) for span in found], [("1", 2, 1), ("2", 1, 1.5)])

    def test_the_tables_hold_what_the_rankings_say(self):
        records = [record("a", "stratus-red-team_1"), record("b"), record("b"), record("c")]
        results = {"rankings": [{"a": 1, "b": 2, "c": 3}] * 2, "p": [{"a": 0.01, "b": 0.5, "c": 1.0}] * 2,
                   "dead_letters": 0, "alerts": 1}
        made = script.tables(records, results)
        self.assertEqual([row[0] for row in made["cloudtrail-principals"]["rows"]], ["other 2", "other 1", "other 3"])
        summary = {row[0]: row[1]["values"] for row in made["cloudtrail-summary"]["rows"]}
        self.assertEqual(summary["AUC of principals, mean of 2 keys [least, most]"], [1.0, 1.0, 1.0])
        self.assertEqual(summary["AUC of principals, control: record count"], [0.25])
        self.assertEqual(summary["spans whose principal ranks 1 / to 3 / to 5"], [1, 1, 1])

    def test_principals_are_shown_by_kind_and_number(self):
        calls = {"arn:aws:iam::1:user/ann": 5, "arn:aws:iam::1:user/bob": 9, "rds.amazonaws.com": 1,
                 "arn:aws:iam::1:role/aws-service-role/rds.amazonaws.com/R": 2, "AIDA": 1}
        self.assertEqual(list(cloudtrail.labels(calls).values()), ["user 1", "user 2", "role 1", "other 1", "service 1"])

    def test_missing_data_is_one_line_and_no_failure(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(script.main(["--data", folder]), 0)

    def test_the_mapping_names_paths_that_this_reader_understands(self):
        root = Path(__file__).resolve().parents[2]
        paths = cloudtrail.principal_paths(root / "schemas/sources/cloudtrail.toml")
        self.assertEqual(paths[:2], PATHS[:2])
        self.assertTrue(all(set(path) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.") for path in paths))


if __name__ == "__main__":
    unittest.main()
