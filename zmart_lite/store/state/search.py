"""Finding markets by any part of their question: an index of trigrams, in SQL that SQLite and Postgres share.

Case is folded here, in Python, because the databases fold only what their own locale knows.
"""

from zmart_lite.store.engine.db import Tx

TRIGRAM = 3
TRIGRAMS_ASKED_MAX = 16
"""Trigrams of a search that are looked up: the rarest of them narrows down what is then compared as a whole."""
RARE_MAX = 2_000
"""Markets with a trigram are counted up to here."""
LIKE_ESCAPE = "\\"


def folded(text: str) -> str:
    return text.casefold()


def trigrams(text: str) -> list[str]:
    """All different runs of three characters, in order."""
    return list(dict.fromkeys(text[at : at + TRIGRAM] for at in range(len(text) - TRIGRAM + 1)))


def index_question(tx: Tx, market: int, question: str) -> None:
    """Make a market's question findable."""
    text = folded(question)
    tx.execute("UPDATE market_texts SET question_folded = ? WHERE market = ?", (text, market))
    tx.execute_many(
        "INSERT INTO question_trigrams (trigram, market) VALUES (?, ?) ON CONFLICT (trigram, market) DO NOTHING",
        [(trigram, market) for trigram in trigrams(text)],
    )


def forget_question(tx: Tx, market: int, question: str) -> None:
    """Take back what index_question entered."""
    tx.execute_many(
        "DELETE FROM question_trigrams WHERE trigram = ? AND market = ?",
        [(trigram, market) for trigram in trigrams(folded(question))],
    )


def matching_markets(tx: Tx, words: str) -> tuple[str, list[object]]:
    """A SELECT of the keys of markets whose question holds ``words`` (3 characters or more), and its parameters."""
    text = folded(words)
    sql = (
        "SELECT mt.market FROM question_trigrams qt CROSS JOIN market_texts mt WHERE qt.trigram = ?"
        " AND mt.market = qt.market AND mt.question_folded LIKE ? ESCAPE '\\'"
    )
    return sql, [_rarest(tx, trigrams(text)[:TRIGRAMS_ASKED_MAX]), like_pattern(text)]


def _rarest(tx: Tx, asked: list[str]) -> str:
    """The trigram that the fewest questions have. Whoever finds one that few have does not look at the rest."""
    counted: dict[str, int] = {}
    for trigram in asked:
        sql = "SELECT count(*) FROM (SELECT 1 FROM question_trigrams WHERE trigram = ? LIMIT ?) found"
        counted[trigram] = tx.value(sql, (trigram, min([RARE_MAX, *counted.values()])))
    return min(asked, key=lambda trigram: counted[trigram])


def like_pattern(text: str) -> str:
    """A pattern for ``LIKE ? ESCAPE '\\'`` that finds the text anywhere."""
    for special in (LIKE_ESCAPE, "%", "_"):
        text = text.replace(special, LIKE_ESCAPE + special)
    return f"%{text}%"
