"""What can be read off a report's page without a browser."""

import json
import re


def own_html(page):
    """The page without plotly's source, which names addresses it never loads here."""
    html = page.read_text(encoding="utf-8")
    start = html.index("<script>/**")
    return html[:start] + html[html.index("</script>", start) :]


def drawings(page):
    text = re.search(r'id="plots">(.*?)</script>', own_html(page), re.DOTALL).group(1)
    return json.loads(text)


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
