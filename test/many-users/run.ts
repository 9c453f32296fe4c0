import { type Step, stepsOf } from './steps.ts'
import { World, type WorldResult } from './world.ts'

/** Steps of one world. */
const STEPS = 400

export interface Findings {
  readonly steps: number
  readonly worlds: number
  readonly deliveries: number
  readonly kept: number
  readonly overflowed: number
  readonly evicted: number
  /** The first faults, with the seed of their world. */
  readonly faults: readonly string[]
}

/** Runs worlds until so many steps are done; the same seed gives the same run. */
export const runManyUsers = async (steps: number, seed: number, progress: (text: string) => void = () => undefined): Promise<Findings> => {
  const totals = { deliveries: 0, kept: 0, overflowed: 0, evicted: 0 }
  const faults: string[] = []
  let [done, worlds] = [0, 0]
  while (done < steps && faults.length < 40) {
    const worldSeed = seed + worlds++
    const count = Math.min(STEPS, steps - done)
    const result = await runWorld(worldSeed, stepsOf(worldSeed, count))
    done += count
    totals.deliveries += result.deliveries
    totals.kept += result.kept
    totals.overflowed += result.overflowed
    totals.evicted += result.evicted
    for (const fault of result.faults.slice(0, 5)) faults.push(`world ${worldSeed}: ${fault}`)
    if (worlds % 25 === 0) progress(`${done} steps, ${faults.length} faults, ${JSON.stringify(totals)}`)
  }
  return { steps: done, worlds, ...totals, faults }
}

/** Runs one world; what it throws is a fault, too. */
const runWorld = async (seed: number, steps: readonly Step[]): Promise<WorldResult> => {
  try {
    return await new World(seed).run(steps)
  } catch (error) {
    return { faults: [`thrown: ${(error as Error).stack}`], deliveries: 0, kept: 0, overflowed: 0, evicted: 0, time: 0 }
  }
}

/** What a fault is about, apart from when and which. */
const kindOf = (fault: string): string => fault.replace(/^[\d.]+ ms: /, '').replace(/@\w*@|\d[\d.]*/g, '#')

/** Leaves out steps of a world for as long as its first fault stays, or one of the same kind. */
export const shorten = async (seed: number): Promise<{ steps: Step[]; faults: readonly string[] }> => {
  let steps = stepsOf(seed, STEPS)
  let { faults } = await runWorld(seed, steps)
  const kind = kindOf(faults[0] ?? '')
  for (let size = Math.ceil(steps.length / 2); size >= 1 && kind !== ''; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < steps.length; ) {
      const fewer = [...steps.slice(0, at), ...steps.slice(at + size)]
      const result = await runWorld(seed, fewer)
      if (result.faults.some(fault => kindOf(fault) === kind)) [steps, faults] = [fewer, result.faults]
      else at += size
    }
  }
  return { steps, faults }
}
