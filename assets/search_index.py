"""The corpus that the search tool searches."""

import dagster as dg
import polars as pl

from assets.resources import Workspace
from rollouts.tools.search import ASSET, SearchIndex
from sources.open import corpus_documents


@dg.asset(
    name=ASSET,
    group_name="sources",
    kinds={"bm25s"},
    description="The index that the search tool searches, built from the recipe's corpora (empty when it names none). "
    "Its version is the hash of the texts: a changed page is a changed tool, and the rollouts that could use it are "
    "made again.",
)
def search_index(workspace: Workspace) -> dg.Output[pl.DataFrame]:
    corpus = workspace.recipe.search.corpus
    documents = list(corpus_documents(corpus))
    version = SearchIndex.build(corpus, workspace.data, documents).version if corpus else ""
    return dg.Output(
        pl.DataFrame({"version": [version], "documents": [len(documents)]}),
        metadata={
            "documents": len(documents),
            "version": version,
            "samples": dg.MetadataValue.md("\n\n".join(f"**{d.title}** {d.text[:300]}" for d in documents[:3])),
        },
    )
