"""vllm.LLM as a process: one order a line on stdin (requests, temperature, top_p), one line of figures back."""

import json
import sys
import time


def main() -> None:
    from vllm import LLM, SamplingParams

    llm = LLM(**json.loads(sys.argv[1]), disable_log_stats=True)
    llm.chat([[{"role": "user", "content": "1+1?"}]], SamplingParams(max_tokens=4), use_tqdm=False)
    print("{}", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        sampling = [
            SamplingParams(
                temperature=order["temperature"],
                top_p=order["top_p"],
                max_tokens=max(1, request["tokens"]),
                ignore_eos=True,
            )
            for request in order["requests"]
        ]
        start = time.monotonic()
        replies = llm.chat([request["messages"] for request in order["requests"]], sampling, use_tqdm=False)
        seconds = time.monotonic() - start
        tokens = sum(len(reply.outputs[0].token_ids) for reply in replies)
        print(json.dumps({"tokens": tokens, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
