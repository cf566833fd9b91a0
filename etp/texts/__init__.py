"""The texts that ECGs are compared with in training: statements, their paraphrases, generalisations and negations."""
