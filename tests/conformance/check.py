"""Autobahn's verdicts as a table; fails unless every case that applies without compression is strictly OK.

A server that never agrees to permessage-deflate leaves the cases of 12.* and 13.* unimplemented: those are skipped.
INFORMATIONAL is the suite's verdict where the RFC demands nothing; NON-STRICT is a failure here.
"""

import collections
import json
import sys

APPLICABLE = 301
OK = {"OK", "INFORMATIONAL"}
COMPRESSION = {12, 13}


def main(index):
    with open(index, encoding="utf-8") as file:
        [(agent, cases)] = json.load(file).items()
    table = collections.defaultdict(collections.Counter)
    passed, failed, skipped = 0, [], 0
    for case in sorted(cases, key=lambda name: [int(part) for part in name.split(".")]):
        category = int(case.split(".")[0])
        verdict = {cases[case]["behavior"], cases[case]["behaviorClose"]}
        name = "/".join(sorted(verdict))
        table[category][name] += 1
        if category in COMPRESSION and "UNIMPLEMENTED" in verdict:
            skipped += 1
        elif verdict <= OK:
            passed += 1
        else:
            failed.append(f"{case} {name}")

    print(f"{agent}: {len(cases)} cases")
    for category, names in sorted(table.items()):
        print(f"  {category:2}.*  {names.total():3}  " + ", ".join(f"{name} {n}" for name, n in names.items()))
    for case in failed:
        print(f"  NOT OK: {case}")
    if passed < APPLICABLE:
        print(f"  {APPLICABLE} are demanded")
    print(f"{passed} passed, {len(failed)} failed, {skipped} skipped")
    return 1 if failed or passed < APPLICABLE else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
