import type { AppOptions, App as CoreApp } from '@iopa/appbuilder'
import type { Transport } from '@iopa/transport'

/** A host under test: ours unless another is given. */
export interface ConformanceSubject {
  /** A fresh app. */
  createApp(options?: AppOptions): CoreApp
  /** A fresh transport that needs no network; `memory()` unless given. */
  transport?(): Transport
}

/** One statement of the specification. */
export interface ConformanceStatement {
  /** 1 to 30, as in docs/spec/conformance.md. */
  readonly number: number
  readonly name: string
  /** Rejects with an AssertionError where the statement does not hold. */
  run(): Promise<void>
}

/** What the innermost handler returned: the core keeps it with the answer. */
export const valueIn = (answer: object): unknown => (answer as { readonly value?: unknown }).value
