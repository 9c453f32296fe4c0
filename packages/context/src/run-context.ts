import type { AnswerRecord } from './answer-record.ts'
import type { OwnedContext } from './owned-context.ts'
import type { Scope } from './scope.ts'
import type { RECORD, SCOPE } from './slots.ts'

/** The context as the pipeline runs it. */
export interface RunContext extends OwnedContext {
  readonly response: AnswerRecord
  'server.ParentContext': RunContext | null
  readonly 'server.Connection': RunContext | null
  readonly connection: RunContext | null
  readonly [RECORD]: AnswerRecord
  readonly [SCOPE]: Scope
  child(path: string, method?: string): RunContext
}
