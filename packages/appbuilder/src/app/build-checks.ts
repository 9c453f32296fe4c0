import { IopaError } from '@iopa/constants'
import { type Coverage, checkBoundGuards, coverageOf, warningsOf } from './coverage.ts'
import { checkDeclarations, list, providedBy } from './declarations.ts'
import { checkNested, type NestedApp } from './nested-app.ts'
import { overtaken } from './run-order.ts'

/** The keys that something around an app provides, wherever it stands. */
const providedAround = (app: NestedApp): string[] =>
  app.places.flatMap(({ outer }) => [...providedAround(outer), ...outer.entries.flatMap(entry => providedBy(entry).flatMap(({ keys }) => keys))])

/** Checks an app and those within it before it is composed; the outermost one says what its guards leave open. @throws IopaError 500. */
export const checkBuild = (app: NestedApp, transports: readonly object[]): void => {
  const coverage = coverageOf(app)
  for (const entry of app.entries) checkNested(app, entry)
  const around = new Set(providedAround(app))
  if (app.places.length === 0) checkAlone(app)
  checkDeclarations(app.entries, transports, new Set([...around, ...(app.options.requires ?? [])]))
  checkBoundGuards(coverage)
  if (app.places.length > 0) return
  const warnings = reportOf(app, coverage)
  if (warnings.length > 0) app.logger.warn(`iopa: ${warnings.join(' ')}`)
}

const checkAlone = ({ options: { requires = [] } }: NestedApp): void => {
  if (requires.length > 0)
    throw new IopaError(
      500,
      'missing-key',
      `An app that requires ${list(requires)} does not run alone: mount it in an app, behind what provides ${requires.length === 1 ? 'it' : 'them'}.`
    )
}

/** What the guards of an app leave open, in sentences; empty when there is nothing to say. */
export const buildReport = (app: NestedApp): string[] => reportOf(app, coverageOf(app))

const reportOf = (app: NestedApp, coverage: Coverage): string[] => [
  ...warningsOf(coverage),
  ...overtaken(app.entries).map(
    ([entry, later]) =>
      `${entry.label} does not run for ${later.label}, which is more specific: where it guards, let it say what it provides; else put it behind.`
  )
]
