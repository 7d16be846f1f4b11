"""What can be read off a report's page without a browser."""

import base64
import gzip
import json
import re


def own_html(page):
    """The page as it is, without the packed figures and plotly."""
    html = page.read_text(encoding="utf-8")
    return re.sub(r'(<script type="text/plain" id="\w+">)[\w+/=]*', r"\1", html)


def unpacked(page, name):
    """The text that a browser unpacks: `plots` or `plotly`."""
    packed = re.search(rf'id="{name}">([\w+/=]*)</script>', page.read_text(encoding="utf-8"))
    return gzip.decompress(base64.b64decode(packed[1])).decode()


def drawings(page):
    return json.loads(unpacked(page, "plots"))


def titles(page):
    return re.findall(r"<h3>(.*?)</h3>", own_html(page))


def drawing(page, title):
    """The one drawing of that title."""
    [found] = [d for d, its in zip(drawings(page), titles(page), strict=True) if its == title]
    return found


def table_rows(page):
    """The rows of all tables, as lists of words."""
    rows = re.findall(r"<tr>(.*?)</tr>", own_html(page), re.DOTALL)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]
    return [[re.sub(r"<.*?>", "", cell).strip() for cell in row] for row in cells]
