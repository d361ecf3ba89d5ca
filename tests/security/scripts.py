"""Texts and files that want to run script in a browser, and how to tell that one did."""

from typing import Final

from playwright.async_api import Dialog, Page

from tests.security.chromium import PATIENCE_MS

MARK = "data-pwned"
_CODE = f"document.documentElement.setAttribute('{MARK}',1)"
_QUIET = f"document.documentElement.setAttribute(`{MARK}`,1)"  # for attributes in either kind of quotes

_MARKUP = (
    "<script>{js}</script>",
    "</title><script>{js}</script>",
    "</textarea><script>{js}</script>",
    "</style></noscript><script>{js}</script>",
    "--><script>{js}</script>",
    "]]><script>{js}</script>",
    "<ScRiPt>{js}</sCrIpT>",
    "<script\x0c>{js}</script >",
    "<script/x>{js}</script>",
    "<scr<script>ipt>{js}</scr</script>ipt>",
    "<script src=data:text/javascript,{js}></script>",
    "<script type=module>{js}</script>",
    '<img src=x onerror="{js}">',
    '<img/src/onerror="{js}">',
    '<img src="data:image/png,x" onerror="{js}">',
    "\"><img src=x onerror='{q}'>",
    '\'><img src=x onerror="{js}">',
    '`><img src=x onerror="{js}">',
    '<image href=x onerror="{js}">',
    '<img src=x:x onerror\x0c="{js}">',
    '<<img src=x onerror="{js}">>',
    '<img src=x onerror="{js}"//',
    '<svg onload="{js}">',
    '<svg/onload="{js}">',
    "<svg><script>{js}</script></svg>",
    '<svg><animate onbegin="{js}" attributeName=x dur=1s>',
    '<svg><set onbegin="{js}" attributeName=x>',
    '<svg><a href="javascript:{js}"><text y=20>x</text></a></svg>',
    '<svg><use href="data:image/svg+xml,<svg id=x onload={q}>#x">',
    '<svg><foreignObject><iframe srcdoc="<script>parent.{js}</script>">',
    '<math><mtext><table><mglyph><style><img src=x onerror="{js}">',
    '<body onload="{js}">',
    '<body onpageshow="{js}">',
    '<iframe onload="{js}">',
    '<iframe srcdoc="<script>parent.{js}</script>">',
    '<iframe src="javascript:parent.{js}">',
    '<object data="javascript:{js}">',
    '<object data="data:text/html,<script>{js}</script>">',
    '<embed src="javascript:{js}">',
    '<input autofocus onfocus="{js}">',
    '<select autofocus onfocus="{js}">',
    '<textarea autofocus onfocus="{js}">',
    '<button autofocus onfocus="{js}">',
    '<details open ontoggle="{js}">',
    '<video><source onerror="{js}">',
    '<video src=x onerror="{js}">',
    '<audio src=x onerror="{js}">',
    '<marquee onstart="{js}">',
    '<style>@keyframes x{{}}</style><b style="animation-name:x" onanimationstart="{js}">',
    '<link rel=stylesheet href=x onerror="{js}">',
    '<meta http-equiv=refresh content="0;url=javascript:{js}">',
    '<base href="javascript:/a/-{js}//">',
    '<form action="javascript:{js}"><button>',
    '<isindex formaction="javascript:{js}" type=submit>',
    '<a href="javascript:{js}">x</a>',
    '<a href="\x01javascript:{js}">x</a>',
    '<a href="java\tscript:{js}">x</a>',
    '<a href="data:text/html,<script>{js}</script>">x</a>',
    '<dialog open onclose="{js}"><form method=dialog><button>',
    '<x contenteditable onfocus="{js}" autofocus tabindex=0>',
    '<template><img src=x onerror="{js}"></template>',
    "<noscript><p title=\"</noscript><img src=x onerror='{q}'>\">",
    '" onmouseover="{q}" x="',
    "' onmouseover='{q}' x='",
    '" autofocus onfocus="{q}" x="',
    '" style="animation-name:x" onanimationstart="{q}',
)
_CODES = (
    "javascript:{js}",
    "JaVaScRiPt:{js}",
    " javascript:{js}",
    "data:text/html,<script>{js}</script>",
    "data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==",
    "vbscript:{js}",
    "';{js}//",
    '";{js}//',
    "`;{js}//",
    "\\';{js}//",
    "${{{js}}}",
    "`${{{js}}}`",
    "{{{{constructor.constructor('{q}')()}}}}",
    "{{{{{js}}}}}",
    "</script><script>{js}</script>",
    "\u2028{js}\u2029",
    "[x](javascript:{js})",
    '![x](x"onerror="{q})',
    "<javascript:{js}>",
    "<!--<img src=\"--><img src=x onerror='{q}'//\">",
    "\ufeff<script>{js}</script>",
    "＜script＞{js}＜/script＞",
    "<\u200bscript>{js}</script>",
    "&lt;script&gt;{js}&lt;/script&gt;",
    "&#60;script&#62;{js}&#60;/script&#62;",
    "%3Cscript%3E{js}%3C/script%3E",
    "\\u003cscript\\u003e{js}\\u003c/script\\u003e",
    "\\x3cscript\\x3e{js}\\x3c/script\\x3e",
    "+ADw-script+AD4-{js}+ADw-/script+AD4-",
    "expression({js})",
    "x;background:url(javascript:{js})",
    '{{"__html": "<img src=x onerror={q}>"}}',
    '{{"dangerouslySetInnerHTML": {{"__html": "<img src=x onerror={q}>"}}}}',
    '__proto__[innerHTML]=<img src=x onerror="{q}">',
    "onload={js}",
    "\x1b]8;;javascript:{js}\x1b\\x\x1b]8;;\x1b\\",
    "\u202e>tpircs/<)1(trela>tpircs<",
    "<title>x</title><xmp><img src=x onerror='{q}'></xmp>",
    "<plaintext>",
)

TEXTS: Final = tuple(template.format(js=_CODE, q=_QUIET) for template in (*_MARKUP, *_CODES))
"""Each runs its script somewhere: as markup, in an attribute, a link, a script, a style, a template."""

_SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"'
_XHTML = "http://www.w3.org/1999/xhtml"
_SCRIPT = f"<script>{_CODE};document.title='pwned'</script>"

FILES: Final[dict[str, tuple[bytes, str]]] = {
    "an SVG with a script": (f"{_SVG}>{_SCRIPT}</svg>".encode(), "image/svg+xml"),
    "an SVG that loads": (f'{_SVG} onload="{_CODE}"/>'.encode(), "image/svg+xml"),
    "an SVG that claims to be a PNG": (f"{_SVG}>{_SCRIPT}</svg>".encode(), "image/png"),
    "an SVG with foreign HTML": (
        f'{_SVG}><foreignObject><body xmlns="{_XHTML}" onload="{_CODE}"/></foreignObject></svg>'.encode(),
        "image/svg+xml",
    ),
    "an SVG behind an XML declaration": (
        f'<?xml version="1.0"?>{_SVG}>{_SCRIPT}</svg>'.encode(),
        "image/svg+xml",
    ),
    "HTML": (f"<!doctype html>{_SCRIPT}".encode(), "text/html"),
    "HTML that claims to be a PNG": (f"<!doctype html>{_SCRIPT}".encode(), "image/png"),
    "HTML without a type": (f"<html>{_SCRIPT}".encode(), "application/octet-stream"),
    "HTML behind spaces": (b" " * 2000 + f"<html>{_SCRIPT}".encode(), "text/plain"),
    "HTML in UTF-16": (f"\ufeff<!doctype html>{_SCRIPT}".encode("utf-16-le"), "text/html; charset=utf-16"),
    "HTML in UTF-7": (b"+ADw-script+AD4-document.title='pwned'+ADw-/script+AD4-", "text/html; charset=utf-7"),
    "XHTML": (
        f'<html xmlns="{_XHTML}">{_SCRIPT}</html>'.encode(),
        "application/xhtml+xml",
    ),
    "XML with a style sheet": (
        b'<?xml-stylesheet type="text/xsl" href="data:text/xml,x"?>'
        + f'<x xmlns:h="{_XHTML}"><h:script>{_CODE}</h:script></x>'.encode(),
        "text/xml",
    ),
    "XML": (
        f'<x><h:script xmlns:h="{_XHTML}">{_CODE}</h:script></x>'.encode(),
        "application/xml",
    ),
    "script": (_CODE.encode(), "text/javascript"),
    "a PDF with a script": (
        b"%PDF-1.7\n1 0 obj<</Type/Catalog/OpenAction<</S/JavaScript/JS(app.alert\\(1\\))>>>>endobj\n"
        b"trailer<</Root 1 0 R>>",
        "application/pdf",
    ),
    "GIF and script at once": (b"GIF89a/*" + b"\0" * 20 + b"*/=1;" + _CODE.encode(), "image/gif"),
    "GIF and HTML at once": (b"GIF89a" + f"<html>{_SCRIPT}".encode(), "text/html"),
    "MHTML": (
        f"MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<html>{_SCRIPT}".encode(),
        "multipart/related",
    ),
    "nothing but a comment": (f"<!--x-->{_SCRIPT}".encode(), "image/webp"),
}
"""Outputs that run script where a browser takes them for what they want to be: their bytes and claimed type."""


class Witness:
    """Notes every script of ours that ran in the page, and every one that the page's policy had to stop."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.seen: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("dialog", self._dismiss)
        page.on("console", lambda said: self.seen.append(said.text) if "CSP" in said.text else None)

    async def _dismiss(self, dialog: Dialog) -> None:
        self.seen.append(f"dialog: {dialog.message}")
        await dialog.dismiss()

    async def ran(self) -> list[str]:
        """Return what ran until now."""
        marked = await self.page.evaluate(
            f"() => document.documentElement.hasAttribute('{MARK}') || document.title === 'pwned'"
        )
        return [*self.seen, *(["a script ran"] if marked else [])]
