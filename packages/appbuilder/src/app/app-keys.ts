import type { CoreKeys } from '@iopa/constants'

/**
 * The keys that an app adds: `declare module '@iopa/appbuilder' { interface IopaKeys { 'acme.Tenant': string } }`. They are
 * keys of every context, as those that packages add to the interface of the same name in `@iopa/constants`, which an
 * app that is installed by pnpm cannot name.
 */
export interface IopaKeys extends CoreKeys {}

// Within the block below the name IopaKeys means the other interface.
interface AppKeys extends IopaKeys {}

declare module '@iopa/constants' {
  interface IopaKeys extends AppKeys {}
}
