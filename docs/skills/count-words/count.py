"""A skill: arguments as JSON on standard input, the result as JSON on standard output."""
import collections
import json
import re
import sys

arguments = json.load(sys.stdin)
text = arguments["text"]
words = re.findall(r"\w+", text.lower())
frequent = collections.Counter(words).most_common(arguments.get("top", 3))
json.dump({"words": len(words), "lines": len(text.splitlines()), "characters": len(text), "frequent": [word for word, _ in frequent]}, sys.stdout, ensure_ascii=False)
