import { contextStatements } from './contexts.ts'
import { pipelineStatements } from './pipeline.ts'
import { requestStatements } from './requests.ts'
import type { ConformanceStatement, ConformanceSubject } from './statement.ts'

/**
 * The thirty statements that a conforming host keeps, for any test runner:
 * `for (const { number, name, run } of conformance({ createApp: options => new App(options) })) test(`${number}. ${name}`, run)`
 */
export const conformance = (subject: ConformanceSubject): ConformanceStatement[] =>
  [...pipelineStatements(subject), ...contextStatements(subject), ...requestStatements(subject)].sort((a, b) => a.number - b.number)
