// A greenhouse with two beds and three people, whose passwords are cheap to verify.
import type { Transport } from '@iopa/appbuilder'
import { hashPassword } from '@iopa/auth'
import { type GreenhouseOptions, greenhouse } from '../greenhouse.ts'

export const DASHBOARD = 'https://dashboard.example'
/** The key of the device in the herbs. */
export const KEY = 'key-of-the-herbs'

const people = Promise.all(
  ['gardener', 'visitor', 'operator'].map(async role => ({ id: role, password: await hashPassword(`of ${role}`, { cost: 1024 }), roles: [role] }))
)

export const planted = async (transports: readonly Transport[], options: Partial<GreenhouseOptions> = {}) =>
  greenhouse(transports, {
    people: await people,
    devices: [
      { id: 'herbs', key: KEY },
      { id: 'tomatoes', key: 'key-of-the-tomatoes' }
    ],
    dashboard: DASHBOARD,
    ...options
  })
