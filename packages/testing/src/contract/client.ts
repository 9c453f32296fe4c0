import type { ContractCase } from './case.ts'
import { clientAbortCases } from './client-abort.ts'
import { clientBodyCases } from './client-bodies.ts'
import { clientEndingCases } from './client-endings.ts'
import { clientRestartCases } from './client-restart.ts'
import { clientUrlCases } from './client-urls.ts'
import type { TransportSubject } from './subject.ts'

/** What users of `app.connect` can rely on, on every protocol. */
export const clientCases = (subject: TransportSubject): ContractCase[] => [
  ...clientBodyCases(subject),
  ...clientAbortCases(subject),
  ...clientEndingCases(subject),
  ...clientUrlCases(subject),
  ...clientRestartCases(subject)
]
