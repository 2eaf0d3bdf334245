"""Sentence embeddings: texts as unit vectors whose scalar product says how near their meanings are.

The model is any of sentence-transformers' (Reimers and Gurevych, arXiv 1908.10084). Its files come from a folder, from
the hub at a revision, or from a Python package that carries them. Such a package is never imported: only files in its
folder are read. With a folder or a package, the network is not touched.

Vectors are kept by the text's and the model's hash, so that a refresh embeds new texts only.
"""

import hashlib
import importlib.util
import logging
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from filters.caches.vectors import KEY_BYTES, VectorStore
from records.recipe.questions import SemanticDuplicates
from records.recipe.section import RecipeError

KEY = "questions.duplicates.semantic"
CHUNK = 16_384
"""Texts that are embedded before their vectors are stored: the most that a kill can lose."""
CHARS_PER_TOKEN = 3
"""Fewer than in prose (about 4), so that pieces of a long text seldom exceed what the model reads."""
_BATCH = 64
_MODEL_FILES = (".safetensors", ".bin", ".json", ".txt", ".model")
_log = logging.getLogger(__name__)


def _is_model(folder: Path) -> bool:
    """sentence-transformers' own have modules.json; plain transformers models, which it can load too, config.json."""
    return (folder / "modules.json").is_file() or (folder / "config.json").is_file()


def _in_package(name: str) -> Path:
    """The model's folder within an installed package, by its import name or the name it is installed by."""
    try:
        spec = importlib.util.find_spec(name.replace("-", "_"))  # does not run a package that has no parent
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise RecipeError(f"{KEY}.package: {name} is not installed: pip install {name}")
    root = Path(next(iter(spec.submodule_search_locations)))
    for folder in (root, *sorted(path.parent for path in root.rglob("modules.json"))):
        if _is_model(folder):
            return folder
    raise RecipeError(f"{KEY}.package: {name} holds no sentence-transformers model (no modules.json)")


def _from_hub(model: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    unread = ["*.onnx", "onnx/*", "openvino/*", "*.h5", "*.ot", "*.msgpack"]  # the same weights for other libraries
    try:
        return Path(snapshot_download(model, revision=revision, etag_timeout=10, ignore_patterns=unread))
    except Exception as error:  # anything from name resolution to permissions, in types that change between releases
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise RecipeError(f"{KEY}.model: {model} is not a folder and not on the hub: {reason[0]}") from None


def model_folder(settings: SemanticDuplicates) -> Path:
    """The folder of the model's files: `model` as a folder, `model` from the hub, then `package`; the first available.

    Raises:
        RecipeError: none of them is there.
    """
    problems = []
    if settings.model:
        folder = Path(settings.model).expanduser()
        if _is_model(folder):
            return folder
        try:
            return _from_hub(settings.model, settings.revision)
        except RecipeError as error:
            problems.append(str(error))
    if settings.package:
        try:
            folder = _in_package(settings.package)
        except RecipeError as error:
            problems.append(str(error))
        else:
            for problem in problems:
                _log.info("%s; took the package %s instead", problem, settings.package)
            return folder
    raise RecipeError("\n".join(problems))


def fingerprint(folder: Path) -> str:
    """32 hex digits that differ when the weights, the tokenizer or the configuration in `folder` do."""
    whole = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.suffix in _MODEL_FILES and p.is_file()):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        whole.update(f"{path.relative_to(folder).as_posix()} {digest}\n".encode())
    return whole.hexdigest()[:32]


class Embedder:
    """A sentence embedding model; loaded when the first text is not among the stored vectors.

    Args:
        settings: which model.
        store: folder or fsspec root in which vectors are kept for the next run; None keeps none.

    Raises:
        RecipeError: the model cannot be had.
    """

    def __init__(self, settings: SemanticDuplicates, store: str | None = None) -> None:
        self.folder = model_folder(settings)
        self.fingerprint = fingerprint(self.folder)
        self.store = VectorStore(f"{store.rstrip('/')}/{self.fingerprint}") if store else None
        self.embedded = 0
        """Texts that the model itself has read since this object was made."""

    @cached_property
    def _model(self) -> Any:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise RecipeError(f"{KEY} needs sentence-transformers: pip install 'touchstone[embed]' ({error})") from None
        try:
            return SentenceTransformer(str(self.folder), local_files_only=True)  # on CUDA where there is one
        except (OSError, ValueError, KeyError) as error:
            raise RecipeError(f"{KEY}: {self.folder} holds no model that can be loaded: {error}") from None

    def embed(self, texts: pl.Series | Sequence[str]) -> np.ndarray:
        """Vectors of `texts`: float16 of shape (n, d), of length 1 but for the rounding (a relative error of 5e-4).

        float16 is what is stored, and half the memory; it is returned whether a vector was stored or has just been
        computed, so that both runs decide the same. A text longer than the model reads at once is cut into pieces, and
        its vector is the mean of theirs: otherwise two texts that differ only towards their ends would be one. The mean
        blurs all the same: texts of a page that differ in one sentence have a cosine of 0.99.

        Raises:
            RecipeError: sentence-transformers is not installed, or it cannot load the model.
        """
        asked = pl.Series("text", texts, dtype=pl.String).fill_null("")
        distinct = asked.unique(maintain_order=True)
        vectors = self._of_distinct(distinct)
        if len(distinct) == len(asked):
            return vectors
        places = distinct.to_frame().with_row_index("place")
        return vectors[asked.to_frame().join(places, on="text", maintain_order="left")["place"].to_numpy()]

    def _of_distinct(self, texts: pl.Series) -> np.ndarray:
        keys = pl.Series([hashlib.sha256(text.encode()).digest()[:KEY_BYTES] for text in texts], dtype=pl.Binary)
        vectors, missing = self.store.read(keys) if self.store else (None, np.arange(len(texts)))
        # By length, so that a batch holds texts of about one length and little of it is padding.
        missing = missing[np.argsort(texts.gather(missing).str.len_chars().to_numpy(), kind="stable")]
        for start in range(0, len(missing), CHUNK):
            rows = missing[start : start + CHUNK]
            made = self._compute(texts.gather(rows))
            if vectors is None:
                vectors = np.zeros((len(texts), made.shape[1]), np.float16)
            vectors[rows] = made
            if self.store:
                self.store.add(keys.gather(rows), made)
            _log.info("embedded %d of %d new texts", start + len(rows), len(missing))
        return np.zeros((0, 0), np.float16) if vectors is None else vectors

    def _compute(self, texts: pl.Series) -> np.ndarray:
        pieces, owner = _pieces(texts, CHARS_PER_TOKEN * int(self._model.max_seq_length or 512))
        vectors = self._model.encode(
            pieces, batch_size=_BATCH, convert_to_numpy=True, normalize_embeddings=True, show_progress_bar=False
        ).astype(np.float32)
        self.embedded += len(texts)
        if len(pieces) > len(texts):  # `owner` ascends: the pieces of a text lie together
            vectors = np.add.reduceat(vectors, np.flatnonzero(np.diff(owner, prepend=-1)), axis=0)
        return unit(vectors).astype(np.float16)


def unit(vectors: np.ndarray) -> np.ndarray:
    """The rows of `vectors` (n, d) as float32, scaled to length 1; a row of zeros stays."""
    scaled = vectors.astype(np.float32)
    norms = np.sqrt(np.einsum("ij,ij->i", scaled, scaled))[:, None]
    return np.divide(scaled, norms, out=scaled, where=norms > 0)


def _pieces(texts: pl.Series, limit: int) -> tuple[list[str], np.ndarray]:
    """The texts cut into pieces of at most `limit` characters, and the text that each piece is of."""
    cut = texts.alias("text").to_frame().with_row_index("owner")
    if (texts.str.len_chars() > limit).any():
        pieces = pl.col("text").str.extract_all(rf"(?s).{{1,{limit}}}")
        whole = pl.concat_list("text")  # an empty text is a piece too
        cut = cut.with_columns(text=pl.when(pl.col("text") == "").then(whole).otherwise(pieces)).explode("text")
    return cut["text"].to_list(), cut["owner"].to_numpy().astype(np.int64)
