/** What has the requesters of all links to one peer. */
export interface RequestsHolder {
  requests: unknown
}

/** The requesters of all links to one peer, each with what ends its link. */
export class LinkRequesters<Requester> {
  protected readonly requesters: Map<Requester, () => void> = new Map()
  readonly #holder: RequestsHolder

  constructor(holder: RequestsHolder) {
    this.#holder = holder
  }

  add(requester: Requester, gone: () => void): void {
    this.requesters.set(requester, gone)
  }

  /** False for one that is not there. The last one takes all of this away from the peer. */
  delete(requester: Requester): boolean {
    const found = this.requesters.delete(requester)
    if (this.requesters.size === 0 && this.#holder.requests === this) this.#holder.requests = undefined
    return found
  }

  ended(): void {
    for (const gone of [...this.requesters.values()]) gone()
  }
}
