"""A preprocessor of mdBook: what leads out of the guide leads to the repository, for the book stands alone."""

import json
import sys

if sys.argv[1:2] != ["supports"]:
    context, book = json.load(sys.stdin)
    repository = context["config"]["output"]["html"]["git-repository-url"]
    print(json.dumps(book).replace("](../", f"]({repository}/blob/main/"))
