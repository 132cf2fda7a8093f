"""OpenAI's completions API over a character model: requests, texts, replies."""
