export interface ConformanceStatement {
  readonly name: string
}
export interface ConformanceSubject {
  readonly name: string
}
export const conformance = (): ConformanceStatement[] => []
