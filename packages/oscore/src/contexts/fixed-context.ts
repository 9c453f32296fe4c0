import type { User } from '@iopa/transport'
import type { ContextSource } from './context-source.ts'
import { associationEnded, type ContextSetup, SecurityContext } from './security-context.ts'

/** A security context that is derived once, from what was agreed on (RFC 8613 appendix B.1). */
export class FixedContext implements ContextSource {
  readonly user: User
  readonly recipientId: Uint8Array
  readonly #context: SecurityContext
  readonly #all: readonly SecurityContext[]

  constructor(setup: ContextSetup) {
    this.user = setup.user
    this.#context = new SecurityContext(setup)
    this.recipientId = this.#context.recipientId
    this.#all = [this.#context]
  }

  candidates(kidContext: Uint8Array | undefined): readonly SecurityContext[] {
    const { idContext, ended } = this.#context
    if (ended) return []
    return kidContext === undefined || (idContext !== undefined && Buffer.compare(kidContext, idContext) === 0) ? this.#all : []
  }

  rederive(): undefined {
    return undefined
  }

  sending(): SecurityContext {
    if (this.#context.ended) throw associationEnded()
    return this.#context
  }

  rederived(): boolean {
    return false
  }

  end(): void {
    this.#context.end()
  }
}
