/** One case of a suite: run it in any test runner; it rejects with an AssertionError where it does not hold. */
export interface ContractCase {
  /** A sentence in the present tense. */
  readonly name: string
  run(): Promise<void>
}
