import type { AppOptions, App as CoreApp, Transport } from '@iopa/appbuilder'
import { contextStatements } from './conformance-contexts.ts'
import { pipelineStatements } from './conformance-pipeline.ts'
import { requestStatements } from './conformance-requests.ts'

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

/**
 * The thirty statements that a conforming host keeps, for any test runner:
 * `for (const { number, name, run } of conformance({ createApp: options => new App(options) })) test(`${number}. ${name}`, run)`
 */
export const conformance = (subject: ConformanceSubject): ConformanceStatement[] =>
  [...pipelineStatements(subject), ...contextStatements(subject), ...requestStatements(subject)].sort((a, b) => a.number - b.number)
