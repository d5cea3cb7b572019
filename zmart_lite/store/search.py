"""Finding markets by any part of their question: an index of trigrams, in SQL that SQLite and Postgres share.

Case is folded here, in Python, because the databases fold only what their own locale knows.
"""

from zmart_lite.store.db import Tx

TRIGRAM = 3
TRIGRAMS_ASKED_MAX = 16
"""Trigrams of a search that are looked up; they only narrow down what is then compared as a whole."""
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


def matching_markets(words: str) -> tuple[str, list[object]]:
    """A SELECT of the keys of markets whose question holds ``words`` (3 characters or more), and its parameters."""
    text = folded(words)
    asked = trigrams(text)[:TRIGRAMS_ASKED_MAX]
    sql = (
        "SELECT mt.market FROM market_texts mt WHERE mt.market IN (SELECT market FROM question_trigrams"
        f" WHERE trigram IN ({', '.join('?' * len(asked))}) GROUP BY market HAVING count(*) = ?)"
        " AND mt.question_folded LIKE ? ESCAPE '\\'"
    )
    return sql, [*asked, len(asked), like_pattern(text)]


def like_pattern(text: str) -> str:
    """A pattern for ``LIKE ? ESCAPE '\\'`` that finds the text anywhere."""
    for special in (LIKE_ESCAPE, "%", "_"):
        text = text.replace(special, LIKE_ESCAPE + special)
    return f"%{text}%"
