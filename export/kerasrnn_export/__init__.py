"""The served contract: names, sampler, publishing."""
