/** Paths whose runs led to a change, the nearest first: a run that would come back to one of them is not begun. */
export interface Chain {
  readonly path: string
  readonly above: Chain | null
}

/** Why a path is run again. */
export interface Cause {
  /** The run that has caused the change; null for a cause outside of all runs. */
  readonly chain: Chain | null
  /** Paths whose runs were under way when a change came that does not say who made it: one of them may have. */
  readonly suspects: ReadonlySet<string> | null
}

/** A change that no run has made. */
export const OUTSIDE: Cause = { chain: null, suspects: null }

export const isInChain = (chain: Chain | null, path: string): boolean => {
  for (let link = chain; link !== null; link = link.above) if (link.path === path) return true
  return false
}

/** The cycle that a change of `path` would close, for the log: the same text wherever it is entered. */
export const cycleOf = (chain: Chain, path: string): string => {
  const paths: string[] = []
  for (let link: Chain | null = chain; link !== null; link = link.above) {
    paths.unshift(link.path)
    if (link.path === path) break
  }
  const start = paths.indexOf([...paths].sort()[0] as string)
  const turned = [...paths.slice(start), ...paths.slice(0, start)]
  return [...turned, turned[0]].join(' -> ')
}

/** Says each thing once; beyond the bound it forgets what it has said first. */
export class Once {
  readonly #said = new Set<string>()

  /** True for the first call with this text. */
  first(text: string): boolean {
    if (this.#said.has(text)) return false
    this.#said.add(text)
    if (this.#said.size > MOST_SAID) this.#said.delete(this.#said.values().next().value as string)
    return true
  }
}

const MOST_SAID = 1000
