import type { ContractCase } from './case.ts'
import { clientCases } from './client.ts'
import { lifecycleCases } from './lifecycle.ts'
import { observationCases } from './observation.ts'
import { requestCases } from './requests.ts'
import type { TransportSubject } from './subject.ts'

/**
 * The contract of every transport, as cases for any test runner:
 * `for (const { name, run } of transportContract(subject)) test(name, run)`
 */
export const transportContract = (subject: TransportSubject): ContractCase[] => [
  ...requestCases(subject),
  ...observationCases(subject),
  ...lifecycleCases(subject),
  ...clientCases(subject)
]
