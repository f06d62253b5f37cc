const { DataTypes, Sequelize } = require("sequelize");

const attributes = {
  id: { field: "@KEY@", type: DataTypes.INTEGER, primaryKey: true, autoIncrement: true },
  email: { type: DataTypes.STRING(200), allowNull: false },
  // FERRY In the attributes of
};
const options = {
  tableName: "@TABLE@",
  timestamps: false,
  indexes: [
    // FERRY In its option indexes
  ],
};
module.exports = (sequelize) => sequelize.define("User", attributes, options);
