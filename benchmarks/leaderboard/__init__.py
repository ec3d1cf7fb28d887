"""How good can it get: a table for each book, from the uniform distribution to the best mixture.

There are two boards, with files and tables of their own. On *own book* a row has read the training
part of the book; on *three books* it may have read the other two books whole as well, in the words
of this one's lexicon.

What is measured, of every word of the validation part given all that is before it:

- perplexity of the whole part, of its first half and of its second. Mixture weights, the cache's θ
  and the learning rate of dynamic evaluation are chosen on the first half, among those that
  `parts` lists. What has one value there (block, epsilon, decay, size) and the networks' recipes
  were tuned in trials that looked at the whole part.
- bits per character: all bits, over the characters of the part's tokens joined by single spaces,
  also before a punctuation mark. That counts neither line ends nor what the tokens leave out, so it
  compares models of these words, however they cut them, and not models of the raw text.
- the share of the loss that falls on words which never occur in the training part.
- perplexity with the lexicon of the training part and `<unk>`. What a system gives `<unk>` is the
  sum over all words that never occur in training, and such a word counts as `<unk>` when it comes.
  The system is the same: it reads the text as it is, and nothing is trained anew.

Only words before it can have a say in the score of a word, with one exception: the lexicon is that
of the whole book, so that a system knows which words may come that training does not have, and
that no others will.

From data to the table: `parts` says what a system can be made of, `rows` which systems there are;
`text` reads a book, `networks` trains, `scores` scores and mixes, `files` keeps what took long,
`table` keeps and shows the figures, `spread` says what one more training may come to, and
`__main__` is the command.
"""
