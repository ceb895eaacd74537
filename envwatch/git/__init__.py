"""The only place that runs git: addresses, the process, mirrors and what they hold."""
