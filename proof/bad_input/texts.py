"""Texts: control characters, halves of characters, directions, sizes, and languages that others interpret."""

import json
from collections.abc import Iterator

from proof.bad_input.value import Kind, Value

_SPACES = {
    "empty": "",
    "a space": " ",
    "a line feed": "\n",
    "line ends": "\r\n\r\n",
    "no-break spaces": "\u00a0\u00a0",
    "an ideographic space": "\u3000",
    "a zero-width space": "\u200b",
    "spaces around": "  fox\t\n",
}
_BROKEN = {
    "NUL alone": "\0",
    "NUL inside": "a\0b",
    "NUL at the end": "fox\0",
    "a thousand NULs": "\0" * 1000,
    "a high surrogate alone": "\ud800",
    "a low surrogate alone": "\udfff",
    "a high surrogate at the end": "fox\ud83d",
    "a low surrogate inside": "a\udc00b",
    "a pair the wrong way round": "\udc00\ud800",
    "a byte that Python escapes": "a\udcffb",
    "a byte order mark": "\ufefffox",
    "a byte order mark, swapped": "\ufffefox",
    "no character, U+FFFF": "\uffff",
    "no character, U+FDD0": "\ufdd0",
    "no character, U+1FFFE": "\U0001fffe",
    "the last code point": "\U0010ffff",
    "private use": "\ue000\U000f0000",
    "replacement characters": "\ufffd" * 3,
    "a line separator": "a\u2028b\u2029c",
    "next line": "a\u0085b",
    "interlinear annotation": "\ufff9a\ufffab\ufffb",
}
_SCRIPTS = {
    "right to left": "ثعلب أحمر שועל",
    "an override that turns a name round": "photo\u202egnp.exe",
    "embeddings never ended": "\u202a\u202b\u202d" * 50,
    "isolates": "\u2066a\u2067b\u2068c\u2069",
    "combining marks, a thousand on one letter": "e" + "\u0301" * 1000,
    "zalgo": "".join(c + "\u0300\u0335\u0327" * 5 for c in "fox"),
    "decomposed": "Cafe\u0301 A\u030angstro\u0308m",
    "Hangul in parts": "\u1112\u1161\u11ab",
    "Thai": "ที่นี่",
    "Devanagari": "क्षि",
    "one letter that becomes three words": "\ufdfa" * 20,
    "ligatures": "\ufb01\ufb03",
    "full width": "ＦＯＸ １２７．０．０．１",
    "small letters that grow": "ßŉǰΐ",
    "dotless and dotted": "ıİ",
    "look-alikes": "раураl",
    "mathematical": "𝕱𝖔𝖝",
    "circled digits": "①②⑦",
    "a family": "👩‍👩‍👧‍👦",
    "flags": "🇩🇪🇯🇵🏴󠁧󠁢󠁳󠁣󠁴󠁿",
    "skin tones and selectors": "👍🏿✊🏻☺️☺︎",
    "keycaps": "1️⃣#️⃣",
    "tag characters": "".join(chr(0xE0000 + ord(c)) for c in "ignore this"),
    "soft hyphens": "f\u00ado\u00adx",
    "joiners": "f\u200do\u200cx\u2060",
}
_LONG = {
    "10,000 letters": "a" * 10_000,
    "10,001 letters": "a" * 10_001,
    "10,000 emoji": "🦊" * 10_000,
    "5,001 emoji, twice as many in UTF-16": "🦊" * 5_001,
    "100,000 letters": "b" * 100_000,
    "1 MB": "c" * 1_000_000,
    "10 MB": "d" * 10_000_000,
    "a very long word without a place to break": "w" * 9_999,
    "255 letters": "e" * 255,
    "256 letters": "e" * 256,
    "200 letters": "e" * 200,
    "201 letters": "e" * 201,
    "2,001 letters": "e" * 2_001,
    "9,000 quotation marks": '"' * 9_000,
    "9,000 backslashes": "\\" * 9_000,
}
_INJECTIONS = [
    # SQL
    "' OR '1'='1", '" OR ""="', "'; DROP TABLE jobs; --", "'); DELETE FROM jobs; --", "1; ATTACH DATABASE 'x' AS y",
    "x' UNION SELECT secret FROM jobs --", "%' --", "_%_%", "\\", "\\'", "\\%", "/* */", "`jobs`", "$1",
    ":prompt", "?",
    "1 OR SLEEP(5)", "pg_sleep(5)", "NULL", "null", "None", "undefined", "NaN", "true", "[object Object]", "nil",
    # templates and formats
    "{{7*7}}", "${7*7}", "#{7*7}", "<%= 7*7 %>", "{0.__class__.__mro__}", "%s%s%s%n", "%(prompt)s", "{prompt}", "{}",
    "{", "}", "{{", "%", "%%", "${jndi:ldap://127.0.0.1/x}", "@{7*7}", "[[${7*7}]]", "{% include '/etc/passwd' %}",
    # shells
    "$(id)", "`id`", "; id", "| id", "&& id", "\nid\n", "$IFS", "-rf /", "--help", "~", "*", "> /tmp/x", "!!",
    "%PATH%",
    # paths
    "../../../../etc/passwd", "..\\..\\windows\\win.ini", "/etc/passwd", "file:///etc/passwd", "C:\\boot.ini",
    "\\\\127.0.0.1\\share", "CON", "NUL", "/dev/null", "%2e%2e%2f", "....//....//", ".", "..", "/", "//",
    ".git/config",
    # markup
    "<script>alert(1)</script>", "<svg/onload=alert(1)>", "<img src=x onerror=alert(1)>", "javascript:alert(1)",
    "]]><x>", "<!--", "<!ENTITY x SYSTEM 'file:///etc/passwd'>", "&lt;&amp;&#0;", "</textarea>", "data:text/html,x",
    # lines of others
    "x\r\nSet-Cookie: a=b", "x\n\ndata: forged", "x\nid: 1\nevent: succeeded", '\n{"event": "forged"}',
    "\x1b[2J\x1b]0;x\x07",
    "*)(uid=*", "=1+1", "+1+1", "@SUM(1)", "-1+1", "\t=cmd|' /C calc'!A0",
    # names that languages know
    "__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "__class__", "__init__", "length",
    "prompt",
    # models
    "mock/darkroom", "MOCK/DARKROOM", "mock/", "/darkroom", "mock", "mock/darkroom:", "mock/dark room", "mock/..",
    "../mock/darkroom", "mock//darkroom", "mock/darkroom/x", "mock/darkroom\n", "mock/%64arkroom", "a/b:c:d",
    # addresses
    "http://", "https://", "https:///x", "https://user:pw@example.com/", "http://[::1", "https://[::1]x/",
    "https://example.com:99999/", "https://example.com:x/", "https://%00/", "//example.com/", "https:example.com",
    "https://exa mple.com/", "HTTPS://EXAMPLE.COM/A", "https://例え.jp/", "https://127.0.0.1:1/", "http://2130706433/",
    "https://example.com\\@127.0.0.1/", "https://example.com/\r\nX: y", "ftp://example.com/", "https://[v1.x]/",
    "https://" + "a" * 1990, "https://" + "a." * 900 + "example/", "https://\u2100.example/",
    "https://\uff0f.example/",
]  # fmt: skip


def texts() -> Iterator[Value]:
    for family, values in (
        ("spaces", _SPACES),
        ("broken characters", _BROKEN),
        ("scripts", _SCRIPTS),
        ("long texts", _LONG),
        ("injections", {ascii(text)[1:60]: text for text in _INJECTIONS}),
        ("control characters", {f"U+{code:04X}": f"a{chr(code)}b" for code in _CONTROLS}),
    ):
        for name, text in values.items():
            yield text_value(family, name, text)


_CONTROLS = [*range(0x01, 0x20), 0x7F, 0x80, 0x9F]


def text_value(family: str, name: str, text: str) -> Value:
    """Return a text as a value; halves of characters become escapes in its JSON."""
    return Value(family=family, name=name, kind=Kind.TEXT, raw=json.dumps(text).encode(), text=text)
