"""What a run says on the console: a line when a step starts and ends, progress, and whatever goes wrong."""

import logging
import sys
import time

import dagster as dg

_SHOWN = {"STEP_START", "STEP_SUCCESS", "STEP_FAILURE", "STEP_SKIPPED", "PIPELINE_FAILURE"}


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        meta = getattr(record, "dagster_meta", {})
        event = meta.get("dagster_event")
        step = meta.get("step_key") or (event.step_key if event is not None else None)
        message = meta.get("orig_message") or record.getMessage()
        if event is not None and event.event_type_value == "STEP_START":
            message = "started"
        elif event is not None and event.event_type_value == "STEP_SUCCESS":
            message = f"done in {event.event_specific_data.duration_ms / 1000:.1f} s"
        elif event is not None and event.event_type_value == "STEP_FAILURE":
            error = event.event_specific_data.error
            cause = error.cause if error is not None and error.cause is not None else error
            message = f"FAILED: {cause.message.strip() if cause is not None else message}"
        return f"{time.strftime('%H:%M:%S')}  {step or 'run'}: {message}"


class _Chosen(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        event = getattr(record, "dagster_meta", {}).get("dagster_event")
        if event is not None:
            return event.event_type_value in _SHOWN and not (event.step_key or "").endswith("no_row_lost")
        return record.levelno >= logging.INFO


@dg.logger(None, description="Short lines: steps, progress, warnings and errors.")
def console(_context: dg.InitLoggerContext) -> logging.Logger:
    logger = logging.Logger("touchstone", logging.DEBUG)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Lines())
    handler.addFilter(_Chosen())
    logger.addHandler(handler)
    return logger
