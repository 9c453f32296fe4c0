import type { TwinContract } from '@iopa/appbuilder/extension'
import { decodeRecord } from '../document-format.ts'
import { currentState } from '../opening.ts'
import { type Stamps, type TwinDocument, withDesired, withReported } from './document.ts'
import { differenceOf, isMembers, type Members } from './members.ts'

/** A twin as its record has it. */
interface TwinRecord {
  readonly version: number
  /** The version of the contract that its parts have the shape of. */
  readonly shape: number
  readonly reported: Members
  readonly reportedVersion: number
  readonly desired: Members
  readonly desiredVersion: number
  readonly stamps: Stamps
  readonly deltaVersion: number
}

/** A twin that was read. */
export interface ReadTwin {
  readonly twin: TwinDocument
  /** True where its record has another shape than the twin has now. */
  readonly migrated: boolean
}

/** The record of a twin whose parts have the shape of this version. */
export const recordOf = ({ delta: _, ...twin }: TwinDocument, shape: number): TwinRecord => ({ ...twin, shape })

/**
 * The twin of a record in the shape that the contract has now, validated. A part that has become another one is a change, and has a version of its own.
 * @throws for one that is damaged, or cannot be migrated.
 */
export const twinOf = async (contract: TwinContract, stored: string, value: Uint8Array): Promise<ReadTwin> => {
  const { shape, ...record } = decodeRecord(stored, value) as TwinRecord
  if (!Number.isSafeInteger(record.version) || !isMembers(record.reported) || !isMembers(record.desired) || !isMembers(record.stamps))
    throw new Error('it is no twin')
  const kept: TwinDocument = { ...record, delta: differenceOf(record.desired, record.reported) ?? {} }
  const present = async (part: 'reported' | 'desired'): Promise<Members> => {
    const state = await currentState(contract[part], { version: kept.version, changed: 0, shape, state: kept[part] })
    if (!isMembers(state)) throw new Error(`its ${part} part is no object with members`)
    return state
  }
  // Nothing is named: a wish that is the same in the new shape has been set by the version that set it.
  const wished = withDesired(kept, await present('desired'), {})
  return { twin: withReported(wished, await present('reported'), {}), migrated: shape !== contract.version }
}
